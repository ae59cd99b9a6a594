use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn a_panic_is_an_error_and_later_jobs_run() {
    let config = Config::for_upstream("http://127.0.0.1:1", None, None).expect("good");
    let shared = SharedState::new();
    let snapshot = ArcSwap::from_pointee(Snapshot::new(config.proxy, &shared, None));
    let admin = config.server.admin;
    let settings = ArcSwap::from_pointee(config.server);
    let reloader = Reloader::start(
        None,
        Vec::new(),
        snapshot.into(),
        settings.into(),
        shared,
        admin,
    );
    let reloader = reloader.expect("a thread");
    let panicked = reloader
        .run_on_thread(|_| -> () { panic!("as a bug would") })
        .await;
    assert_eq!(panicked, None);
    assert!(matches!(reloader.reload().await, Err(Error::NoFile)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The configuration, with another edition.
    Write,
    /// The first half of it.
    WriteHalf,
    /// It is well-formed but not valid.
    WriteInvalid,
    /// A key that can't change.
    WriteOtherWorkers,
    Remove,
    WriteDocument,
    WriteInvalidDocument,
    RemoveDocument,
    /// As by SIGHUP.
    Reload,
    /// As when the watcher has seen something, and once more, as it then asks.
    Notice,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Write),
        1 => Just(Step::WriteHalf),
        1 => Just(Step::WriteInvalid),
        1 => Just(Step::WriteOtherWorkers),
        1 => Just(Step::Remove),
        2 => Just(Step::WriteDocument),
        1 => Just(Step::WriteInvalidDocument),
        1 => Just(Step::RemoveDocument),
        2 => Just(Step::Reload),
        3 => Just(Step::Notice),
    ]
}

fn config(edition: usize) -> String {
    format!(
        "[server]\nworkers = 1\n[upstream]\nurl = \"http://127.0.0.1:1\"\n[[route]]\nname = \"edition-{edition}\"\n\
         path = \"/*\"\nkind = \"voice\"\nfallback = \"voice.xml\"\n"
    )
}

fn document(edition: usize) -> String {
    format!("<Response><Say>{edition}</Say></Response>")
}

fn simulate(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, voice) = (
        folder.path().join("understudy.toml"),
        folder.path().join("voice.xml"),
    );
    let write = |path: &Path, text: &str| fs::write(path, text).expect("a file");
    write(&path, &config(0));
    write(&voice, &document(0));
    let loaded = Config::load(&path).expect("it is valid");
    let shared = SharedState::new();
    let snapshot = Snapshot::new(loaded.proxy, &shared, None);
    let mut worker = Worker {
        path: Some(path.clone()),
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        admin_address: loaded.server.admin,
        settings: Arc::new(ArcSwap::from_pointee(loaded.server)),
        shared,
        files: loaded.files,
        watcher: None,
        unconfirmed: None,
        status: Arc::new(ArcSwap::from_pointee(Status {
            loaded_at_seconds: now(),
            error: None,
        })),
    };
    // The editions of the files, where they are good, and those that should be in force.
    let (mut config_now, mut document_now) = (Some(0), Some(0));
    let mut in_force = 0;
    for (at, step) in steps.into_iter().enumerate() {
        let edition = at + 1;
        match step {
            Step::Write => {
                write(&path, &config(edition));
                config_now = Some(edition);
            }
            Step::WriteHalf => {
                let whole = config(edition);
                // Within the name.
                write(
                    &path,
                    &whole[..whole.find("edition").expect("it is there") + 3],
                );
                config_now = None;
            }
            Step::WriteInvalid => {
                write(&path, &format!("{}unknown = 1\n", config(edition)));
                config_now = None;
            }
            Step::WriteOtherWorkers => {
                write(
                    &path,
                    &config(edition).replace("workers = 1", "workers = 2"),
                );
                config_now = None;
            }
            Step::Remove => {
                // It may be gone already.
                let _ = fs::remove_file(&path);
                config_now = None;
            }
            Step::WriteDocument => {
                write(&voice, &document(edition));
                document_now = Some(edition);
            }
            Step::WriteInvalidDocument => {
                write(&voice, "<Response><Say></Response>");
                document_now = None;
            }
            Step::RemoveDocument => {
                let _ = fs::remove_file(&voice);
                document_now = None;
            }
            Step::Reload | Step::Notice => {
                let good = config_now.filter(|_| document_now.is_some());
                in_force = good.unwrap_or(in_force);
                if let Step::Reload = step {
                    prop_assert_eq!(worker.reload().is_ok(), good.is_some());
                } else {
                    worker.reload_if_changed();
                    worker.reload_if_changed();
                }
                let changed = worker.changed_files();
                prop_assert!(changed.is_empty(), "not read again: {changed:?}");
                let error = worker.status.load().error.clone();
                prop_assert_eq!(error.is_none(), good.is_some(), "{:?}", error);
            }
        }
        let snapshot = worker.snapshot.load();
        let name = &snapshot.routes[0].settings.name;
        prop_assert_eq!(name, &format!("edition-{in_force}"), "after {:?}", step);
    }
    Ok(())
}

proptest! {
    // Each writes and reads dozens of files.
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Files that are written whole or half, made invalid, removed and put back, with reloads in between: the last good state is in
    /// force, none that is good is missed, and the status says whether the last one failed.
    #[test]
    fn in_any_schedule_the_last_good_state_is_in_force(steps in vec(step(), 1..40)) {
        simulate(steps)?;
    }
}
