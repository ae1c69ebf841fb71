//! Parts of the hot path, so many times: `pushkeeper-counts PART TIMES`, without a part the list of them. Nothing in it
//! depends on time or chance, so `scripts/count-instructions` finds what one time costs by running it twice under
//! valgrind, with numbers that differ.

mod parts;

use std::process::ExitCode;

use parts::PARTS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = arguments.as_slice() else {
        for (name, _) in PARTS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let part = PARTS.iter().find(|(part, _)| part == name);
    match (part, times.parse()) {
        (Some((_, part)), Ok(times)) if part(times) => ExitCode::SUCCESS,
        _ => {
            eprintln!("pushkeeper-counts: '{name}' cannot be done '{times}' times");
            ExitCode::FAILURE
        }
    }
}
