//! The log of a running process, line by line.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tokio::sync::watch;

use crate::time::POLL_INTERVAL;

/// What a process writes to either of its streams.
#[derive(Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<String>>,
    /// How count lines there are; closed when both streams are.
    count: Mutex<Option<watch::Receiver<usize>>>,
    /// Nobody reads on.
    paused: AtomicBool,
}

impl Log {
    /// Reads the streams of a process, on threads of their own.
    pub(crate) fn of(child: &mut Child) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let (sender, receiver) = watch::channel(0);
        *log.count.lock().expect("no poison") = Some(receiver);
        log.follow(child.stdout.take().expect("a pipe"), sender.clone());
        log.follow(child.stderr.take().expect("a pipe"), sender);
        log
    }

    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static, count: watch::Sender<usize>) {
        let log = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                log.lines.lock().expect("no poison").push(line);
                count.send_modify(|count| *count += 1);
                while log.paused.load(Relaxed) {
                    thread::sleep(POLL_INTERVAL);
                }
            }
        });
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no poison").clone()
    }

    /// Stops reading, or reads on.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    /// The first line that is so, which may be still to come; none if the process ends without one.
    pub(crate) async fn line(&self, is_so: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut count = self.count.lock().expect("no poison").clone()?;
        let mut seen = 0;
        loop {
            let more = count
                .wait_for(|count| *count > seen)
                .await
                .map(|count| *count);
            let lines = self.lines.lock().expect("no poison");
            let new = lines[seen..]
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok());
            if let Some(line) = new.into_iter().find(|line| is_so(line)) {
                return Some(line);
            }
            seen = lines.len();
            more.ok()?;
        }
    }
}
