use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::advance;

fn settings(percent: u8, time_limit: Duration) -> Settings {
    Settings {
        fault: Fault::Root,
        percent: Percent(percent),
        time_limit: TimeLimit(time_limit),
    }
}

const MINUTES: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn it_injects_until_its_end_even_if_nobody_clears_it() {
    let drill = Drill::default();
    assert_eq!((drill.next_fault(), drill.progress()), (None, None));
    assert_eq!(drill.start(settings(100, MINUTES)), None);
    advance(MINUTES - Duration::from_millis(1)).await;
    assert_eq!(drill.next_fault(), Some(Fault::Root));
    let progress = drill.progress().expect("a drill is running");
    assert_eq!((progress.requests, progress.injected), (1, 1));
    assert_eq!(progress.remaining, Duration::from_millis(1));
    advance(Duration::from_millis(1)).await;
    assert_eq!((drill.next_fault(), drill.progress()), (None, None));
    assert_eq!(drill.stop(), None);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_its_end_returns_its_progress() {
    let drill = Drill::default();
    drill.start(settings(100, MINUTES));
    drill.next_fault();
    let began = Instant::now();
    let ended = drill.wait_for_end().await.expect("nobody stopped it");
    assert_eq!((ended.requests, ended.injected), (1, 1));
    assert_eq!(began.elapsed(), MINUTES);
    assert!(
        !drill.is_set.load(Relaxed),
        "requests take no lock any more"
    );
}

/// A task that is already waiting for the end of the drill.
async fn waiting(drill: &Arc<Drill>) -> JoinHandle<(Duration, Option<Progress>)> {
    let (drill, began) = (Arc::clone(drill), Instant::now());
    let waiting = tokio::spawn(async move {
        let ended = drill.wait_for_end().await;
        (began.elapsed(), ended)
    });
    tokio::task::yield_now().await;
    waiting
}

#[tokio::test(start_paused = true)]
async fn a_stopped_drill_ends_at_once_and_waiting_for_its_end_returns_nothing() {
    let drill = Arc::new(Drill::default());
    drill.start(settings(100, MINUTES));
    let waiting = waiting(&drill).await;
    advance(Duration::from_secs(1)).await;
    let stopped = drill.stop().expect("a drill is running");
    assert_eq!(stopped.remaining, MINUTES - Duration::from_secs(1));
    assert_eq!((drill.next_fault(), drill.stop()), (None, None));
    let result = waiting.await.expect("no panic");
    assert_eq!(result, (Duration::from_secs(1), None));
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_replaces_another_has_its_own_end() {
    for time_limit in [MINUTES / 10, MINUTES * 10] {
        let drill = Arc::new(Drill::default());
        drill.start(settings(100, MINUTES));
        let waiting = waiting(&drill).await;
        advance(MINUTES / 2).await;
        let before = drill
            .start(settings(10, time_limit))
            .expect("a drill was running");
        assert_eq!(
            (before.settings.percent.0, before.remaining),
            (100, MINUTES / 2)
        );
        let (waited, over) = waiting.await.expect("no panic");
        let over = over.expect("it ended by itself");
        assert_eq!(
            (waited, over.settings.percent.0),
            (MINUTES / 2 + time_limit, 10)
        );
    }
}

#[test]
fn a_percentage_of_the_requests_gets_the_fault_and_not_always_the_same_ones() {
    let injected = |percent| {
        let drill = Drill::default();
        drill.start(settings(percent, MINUTES));
        let injected: Vec<bool> = (0..10_000).map(|_| drill.next_fault().is_some()).collect();
        let progress = drill.progress().expect("a drill is running");
        let many = injected.iter().filter(|injected| **injected).count();
        assert_eq!(
            (progress.requests, progress.injected),
            (10_000, many as u64)
        );
        (many, injected)
    };
    // Further from the mean than this by chance: once in 10^13.
    for percent in [1, 10, 50, 99] {
        let mean = f64::from(percent) * 100.0;
        let deviation = (mean * (1.0 - mean / 10_000.0)).sqrt();
        let (many, _) = injected(percent);
        assert!(
            (many as f64 - mean).abs() < 7.5 * deviation,
            "{percent}: {many}"
        );
    }
    assert_eq!(injected(100).0, 10_000);
    assert_ne!(injected(50).1, injected(50).1);
}

#[test]
fn valid_texts_are_parsed_and_others_give_an_error() {
    for &fault in Fault::VARIANTS {
        assert_eq!(fault.as_str().parse(), Ok(fault));
        assert!(Error::Fault.to_string().contains(fault.as_str()));
    }
    for percent in ["1", "100"] {
        let read: Percent = percent.parse().expect("it is one");
        assert_eq!(read.to_string(), percent);
        assert_eq!(read.get().to_string(), percent);
    }
    for time in ["1ms", "5m", "1day"] {
        let read: TimeLimit = time.parse().expect("it is one");
        assert_eq!(read.to_string(), time);
    }
    for percent in ["0", "101", "-1", "1.5", "300", "", "ten", "50%"] {
        assert_eq!(percent.parse::<Percent>(), Err(Error::Percent));
    }
    let parse = str::parse::<TimeLimit>;
    for zero in ["0", "0s", "0h 0ms"] {
        assert_eq!(parse(zero), Err(Error::ZeroTime), "{zero}");
    }
    for long in ["24h 1ns", "2days", "1year"] {
        assert_eq!(parse(long), Err(Error::TooLong), "{long}");
    }
    for not_a_time in ["", "5", "m", "-5m", "soon", "99999999999999999999y"] {
        assert!(
            matches!(parse(not_a_time), Err(Error::Time(_))),
            "{not_a_time}"
        );
    }
    assert_eq!("slow".parse::<Fault>(), Err(Error::Fault));
    assert_eq!(
        Error::Fault.to_string(),
        "a fault is deadline, status_5xx, malformed or root"
    );
}

#[test]
fn without_a_percentage_every_request_gets_the_fault() {
    assert_eq!(Percent::default().get(), 100);
}

#[test]
fn only_a_bad_document_needs_validation() {
    let need_it = Fault::VARIANTS
        .iter()
        .filter(|fault| fault.needs_validation());
    let need_it: Vec<_> = need_it.copied().collect();
    assert_eq!(need_it, [Fault::Malformed, Fault::Root]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start {
        percent: u8,
        millis: u64,
    },
    Stop,
    Request,
    Wait(u64),
    /// Waits for the end.
    Watch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (prop_oneof![Just(100), 1..=100_u8], 1..5000_u64)
            .prop_map(|(percent, millis)| Step::Start { percent, millis }),
        1 => Just(Step::Stop),
        6 => Just(Step::Request),
        4 => (0..3000_u64).prop_map(Step::Wait),
        2 => Just(Step::Watch),
    ]
}

/// The drill that should run.
#[derive(Clone, Copy, Debug)]
struct Running {
    settings: Settings,
    ends: Instant,
    requests: u64,
    injected: u64,
}

/// What those who waited for an end were told, and when.
type Ends = Rc<RefCell<Vec<(Instant, Option<Progress>)>>>;

async fn simulate(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let drill = Arc::new(Drill::default());
    let mut running: Option<Running> = None;
    let ends = Ends::default();
    let mut watching = 0;
    for step in steps {
        let now = Instant::now();
        let is_running = running.is_some_and(|own| now < own.ends);
        match step {
            Step::Start { percent, millis } => {
                let settings = settings(percent, Duration::from_millis(millis));
                let replaced = drill.start(settings);
                prop_assert_eq!(replaced.is_some(), is_running);
                running = Some(Running {
                    settings,
                    ends: now + Duration::from_millis(millis),
                    requests: 0,
                    injected: 0,
                });
            }
            Step::Stop => {
                prop_assert_eq!(drill.stop().is_some(), is_running);
                running = running.filter(|_| !is_running);
            }
            Step::Request => {
                let fault = drill.next_fault();
                let own = running.as_mut().filter(|_| is_running);
                prop_assert!(fault.is_none() || own.is_some(), "no drill runs");
                if let Some(own) = own {
                    own.requests += 1;
                    own.injected += u64::from(fault.is_some());
                    prop_assert!(fault.is_some() || own.settings.percent.0 < 100);
                }
            }
            Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Watch => {
                let (drill, ends) = (Arc::clone(&drill), Rc::clone(&ends));
                watching += 1;
                tokio::task::spawn_local(async move {
                    let ended = drill.wait_for_end().await;
                    ends.borrow_mut().push((Instant::now(), ended));
                });
            }
        }
        // Whoever waits hears of it now.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        for (at, ended) in ends.take() {
            watching -= 1;
            let Some(ended) = ended else { continue };
            // It ended by itself, in time, and nobody else was told.
            let own = running.take();
            prop_assert!(own.is_some(), "an end was told twice");
            let own = own.expect("it is there");
            prop_assert!(at >= own.ends, "told {:?} too early", own.ends - at);
            prop_assert!(at <= own.ends.max(now) + Duration::from_millis(2));
            prop_assert_eq!(ended.settings, own.settings);
            prop_assert_eq!(
                (ended.requests, ended.injected),
                (own.requests, own.injected)
            );
        }
        let now = Instant::now();
        let own = running.filter(|own| now < own.ends);
        if own.is_none() && running.is_none_or(|own| now > own.ends + Duration::from_millis(2)) {
            prop_assert_eq!(watching, 0, "somebody waits for ever");
        }
        let progress = drill.progress();
        prop_assert_eq!(progress.is_some(), own.is_some());
        if let (Some(progress), Some(own)) = (progress, own) {
            prop_assert_eq!(progress.settings, own.settings);
            prop_assert_eq!(progress.remaining, own.ends - now);
            prop_assert_eq!(
                (progress.requests, progress.injected),
                (own.requests, own.injected)
            );
        }
    }
    Ok(())
}

proptest! {
    /// Drills that are started, replaced, stopped or left to end whenever: a request gets a fault only while one runs, each is counted
    /// once, and an end is told once to whoever waits for it.
    #[test]
    fn in_any_schedule_a_drill_runs_from_its_start_to_its_end(steps in proptest::collection::vec(step(), 0..100)) {
        support::run_on_paused_clock(simulate(steps))?;
    }
}
