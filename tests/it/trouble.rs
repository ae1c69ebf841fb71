//! All of pushkeeper with a vendor at its worst: one publish for each of many devices, and a count of what became of
//! them. The tests run it small (`reliability.rs`), `cargo bench --bench reliability` in full.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::support::host::{Sent, Session};
use crate::support::vendor::{Answer, Behaviour, Recorded};
use crate::whole_rig::{Device, Whole, publish, registered, registration};

/// What the vendor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// GOAWAY after every so many pushes.
    GoAway(usize),
    /// The connection ends after every so many.
    Cut(usize),
    /// All connections fall silent, without an end, after every so many.
    Freeze(usize),
    /// 503 to all from one time to another, since the first push.
    Down(Duration, Duration),
    /// 429 with a Retry-After of so many seconds to every so manieth.
    Throttled(usize, u64),
    /// Every so manieth is never answered.
    Hang(usize),
    /// The access token is revoked after every so many.
    Revoked(usize),
    /// Nobody listens when pushkeeper starts, and for so long from then on.
    Away(Duration),
}

/// How fast the host publishes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// With so many unanswered at most, and else as fast as it goes.
    Window(usize),
    /// So many a second, whatever is unanswered.
    PerSecond(u32),
}

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) trouble: Trouble,
    /// `apns` or `fcm`.
    pub(crate) service: &'static str,
    pub(crate) publishes: usize,
    pub(crate) pace: Pace,
    /// How long after the last answer everything has to be delivered.
    pub(crate) patience: Duration,
}

/// What became of the publishes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: usize,
    /// Answered `result`: delivered or owed.
    pub(crate) results: usize,
    /// Answered anything else.
    pub(crate) failed: usize,
    /// Devices whose push the vendor took.
    pub(crate) delivered: usize,
    /// Pushes that it took once more.
    pub(crate) duplicates: usize,
    /// Devices whose publish was answered `result` and whose push it never took.
    pub(crate) lost: usize,
    /// Requests that came before the time that the vendor had asked for.
    pub(crate) too_early: usize,
    /// From publish to answer, of those whose requests did not hang.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// From the first publish to the last push that was taken for the first time.
    pub(crate) took: Duration,
    /// Requests that the vendor saw, and over how many connections.
    pub(crate) requests: usize,
    pub(crate) connections: u64,
}

/// After so long without a new request nothing comes any more: retries begin after a second.
const QUIET: Duration = Duration::from_secs(4);

impl Run {
    /// Runs pushkeeper, registers the devices, publishes, and counts.
    pub(crate) async fn go(self) -> Tally {
        let (mut whole, host) = Whole::start("[push]\nmax_per_domain = 0").await;
        let (mut host, devices) = self.register(host).await;
        if let Trouble::Away(_) = self.trouble {
            // It starts again, and nobody listens.
            whole.stop(host).await.expect("a clean stop");
            whole.vendor.stop().await;
            whole.start_again();
            host = whole.host.component().await;
        }
        let hung = self.begin(&whole);
        let clock = Clock::system();
        let begun = clock.steady();
        let exchange = self.publish(host, &devices, clock.clone());
        let (host, answers) = match self.trouble {
            Trouble::Away(span) => {
                let back = async {
                    sleep_until(clock.instant(begun + span)).await;
                    whole.vendor.restart().await.expect("the port is free");
                };
                tokio::join!(exchange, back).0
            }
            _ => exchange.await,
        };
        let all = || whole.vendor.taken_by() >= self.publishes;
        whole.vendor.wait_until(all, self.patience).await;
        let took = clock.steady() - begun;
        // Until it is quiet: what comes twice may come late.
        loop {
            let before = whole.vendor.requests();
            if !whole.vendor.wait_until(|| whole.vendor.requests() > before, QUIET).await {
                break;
            }
        }
        let tally = self.tally(&whole, &answers, &hung, took);
        whole.stop(host).await.expect("a clean stop");
        tally
    }

    async fn register(&self, mut host: Session<TcpStream>) -> (Session<TcpStream>, Vec<Device>) {
        const AT_ONCE: usize = 100;
        let mut devices = Vec::with_capacity(self.publishes);
        for first in (0..self.publishes).step_by(AT_ONCE) {
            let numbers = first..(first + AT_ONCE).min(self.publishes);
            let iqs = numbers.clone().map(|number| registration(self.service, &format!("d{number}"), &token(number)));
            host.send(&iqs.collect::<String>()).await;
            let mut answers = HashMap::new();
            while answers.len() < numbers.len() {
                let answer = host.stanza().await;
                answers.insert(number(&answer, "r-d"), registered(&answer));
            }
            devices.extend(numbers.map(|number| answers.remove(&number).expect("an answer to each")));
        }
        (host, devices)
    }

    /// Tells the vendor what to do from now on; returns the tokens whose requests it will have hung.
    fn begin(&self, whole: &Whole) -> Arc<Mutex<BTreeSet<String>>> {
        let hung = Arc::<Mutex<BTreeSet<String>>>::default();
        let vendor = &whole.vendor;
        let (came, trouble) = (AtomicUsize::new(0), self.trouble);
        let nth = move |every: usize| (came.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every);
        match trouble {
            Trouble::None | Trouble::Away(_) => {}
            Trouble::GoAway(every) => vendor.choose(move |_| nth(every).then_some(Behaviour::GoAway)),
            Trouble::Cut(every) => vendor.choose(move |_| nth(every).then_some(Behaviour::Cut)),
            Trouble::Freeze(every) => vendor.choose(move |_| nth(every).then_some(Behaviour::Freeze)),
            Trouble::Revoked(every) => vendor.choose(move |_| nth(every).then_some(Behaviour::Revoke)),
            Trouble::Throttled(every, secs) => vendor.choose(move |push| {
                let refusal = match push.path.starts_with("/3/") {
                    true => Answer::apns(429, "TooManyRequests"),
                    false => Answer::fcm(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED")),
                };
                nth(every).then(|| Behaviour::Answer(refusal.retry_after(&secs.to_string())))
            }),
            Trouble::Down(from, to) => {
                let first = Mutex::new(None);
                vendor.choose(move |push| {
                    let since = push.at - *first.lock().ok()?.get_or_insert(push.at);
                    (from..to).contains(&since).then(|| Behaviour::Answer(Answer::apns(503, "ServiceUnavailable")))
                });
            }
            Trouble::Hang(every) => {
                let hung = hung.clone();
                vendor.choose(move |push| {
                    nth(every).then(|| {
                        hung.lock().expect("no panic").insert(push.token.clone());
                        Behaviour::Never
                    })
                });
            }
        }
        hung
    }

    /// One publish to each device; returns the answers by number, with the time each took.
    async fn publish(
        self,
        host: Session<TcpStream>,
        devices: &[Device],
        clock: Clock,
    ) -> (Session<TcpStream>, HashMap<usize, (bool, Duration)>) {
        let (mut reader, mut writer) = host.into_halves();
        let sent: Mutex<Vec<Moment>> = Mutex::new(Vec::with_capacity(devices.len()));
        let answered = tokio::sync::watch::Sender::new(0);
        let begun = clock.steady();
        let write = async {
            let mut progress = answered.subscribe();
            let mut next = 0;
            while next < devices.len() {
                let ready = match self.pace {
                    Pace::Window(window) => {
                        let most = *progress.wait_for(|done| next < done + window).await.expect("a reader") + window;
                        most.min(devices.len())
                    }
                    Pace::PerSecond(rate) => {
                        let due = (clock.steady() - begun).as_secs_f64() * f64::from(rate);
                        due as usize + 1
                    }
                };
                let until = ready.min(devices.len());
                let mut text = String::new();
                for (number, device) in devices.iter().enumerate().take(until).skip(next) {
                    text += &publish(&format!("p{number}"), device, "", "");
                }
                let now = clock.steady();
                sent.lock().expect("no panic").extend((next..until).map(|_| now));
                writer.write_all(text.as_bytes()).await.expect("the component reads");
                next = next.max(until);
                if let Pace::PerSecond(_) = self.pace {
                    // A tick of the clock that publishes go by.
                    sleep_until(clock.instant(now + Duration::from_millis(2))).await;
                }
            }
            writer
        };
        let read = async {
            let mut answers = HashMap::with_capacity(devices.len());
            while answers.len() < devices.len() {
                let answer = match reader.next().await {
                    Sent::Stanza(answer) => answer,
                    other => panic!("{other:?} after {} answers", answers.len()),
                };
                let number = number(&answer, "p");
                let took = clock.steady() - sent.lock().expect("no panic")[number];
                let twice = answers.insert(number, (answer.contains("type='result'"), took));
                assert_eq!(twice, None, "answered twice: {answer}");
                answered.send_replace(answers.len());
            }
            (reader, answers)
        };
        let (writer, (reader, answers)) = tokio::join!(write, read);
        (Session::from_halves(reader, writer), answers)
    }

    fn tally(
        &self,
        whole: &Whole,
        answers: &HashMap<usize, (bool, Duration)>,
        hung: &Mutex<BTreeSet<String>>,
        took: Duration,
    ) -> Tally {
        let (taken, pushes) = (whole.vendor.taken(), whole.vendor.pushes());
        let results = answers.values().filter(|(result, _)| *result).count();
        let hung = hung.lock().expect("no panic");
        let healthy = answers.iter().filter(|(number, _)| !hung.contains(&token(**number)));
        let mut latencies: Vec<Duration> = healthy.map(|(_, (_, took))| *took).collect();
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
        let lost = answers.iter().filter(|(number, (result, _))| *result && !taken.contains_key(&token(**number)));
        Tally {
            published: self.publishes,
            results,
            failed: answers.len() - results,
            delivered: taken.len(),
            duplicates: taken.values().map(|times| *times as usize - 1).sum(),
            lost: lost.count(),
            too_early: self.too_early(&pushes),
            p50: at(50),
            p99: at(99),
            took,
            requests: pushes.len(),
            connections: whole.vendor.connections(),
        }
    }

    /// Requests for a device whose last was throttled, and that did not wait for as long as they were asked to.
    fn too_early(&self, pushes: &[Recorded]) -> usize {
        let Trouble::Throttled(_, secs) = self.trouble else { return 0 };
        let mut not_before: HashMap<&str, Moment> = HashMap::new();
        let mut early = 0;
        for push in pushes {
            early += usize::from(not_before.get(push.token.as_str()).is_some_and(|time| push.at < *time));
            if push.status == Some(429) {
                not_before.insert(&push.token, push.at + Duration::from_secs(secs));
            }
        }
        early
    }
}

/// The device token of this number.
fn token(number: usize) -> String {
    format!("{number:064x}")
}

/// The number in a stanza's id.
fn number(stanza: &str, prefix: &str) -> usize {
    let (_, rest) = stanza.split_once(&format!(" id='{prefix}")).unwrap_or_else(|| panic!("whose is {stanza}"));
    rest.split('\'').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("whose is {stanza}"))
}
