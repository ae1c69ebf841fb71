//! pushkeeper.
fn main() {}
