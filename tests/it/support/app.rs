//! The app of the tests: the demo's own, which shows what it was sent when a test fails.

use std::ops::Deref;

use understudy::command::demo::app;

pub(crate) use app::{Request, Script, Step, answer};

/// The demo's misbehaving app.
pub(crate) struct App(app::App);

impl App {
    /// An app that plays the script that `choose` gives for a request's head.
    pub(crate) fn start(choose: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        Self(app::App::start(choose).expect("a port on loopback"))
    }

    /// An app that answers every request with this page.
    pub(crate) fn with_page(page: &'static str) -> Self {
        Self::start(move |_| Script::twiml(page))
    }
}

impl Deref for App {
    type Target = app::App;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what the app was sent ---");
            for request in self.requests() {
                eprintln!("{request:?}");
            }
        }
    }
}
