//! What threads share, in every order in which they may take their turns: [loom](https://docs.rs/loom) runs each model again and again,
//! with another interleaving of its threads each time, and with every value that a relaxed load may see.
//!
//! The modules are those of understudy, compiled once more from the same files. This crate calls itself `std`, so that they get
//! loom's `Mutex` and atomics in the place of the standard library's, and know nothing of it.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "the modules are made for another crate, and only parts of them are used here"
)]

extern crate self as std;
extern crate std as real_std;

pub use real_std::*;

/// What understudy's modules take from `std::sync`.
pub mod sync {
    pub use loom::sync::{Mutex, MutexGuard, atomic};
    pub use real_std::sync::{Arc, PoisonError};

    /// The standard library's, with a lock by which loom sees who waits for whom.
    #[derive(Default)]
    pub struct OnceLock<T> {
        lock: Mutex<()>,
        value: real_std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub fn get(&self) -> Option<&T> {
            let _held = self.lock.lock();
            self.value.get()
        }

        pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            let _held = self.lock.lock();
            self.value.get_or_init(make)
        }
    }
}

// What is not shared between threads is understudy's own.
pub use understudy::{failure, log, recent_failures, signature};

#[path = "../../src/body/budget.rs"]
mod budget;

// rustfmt would look for the unit tests of these two beside them.
#[rustfmt::skip]
#[path = "../../src/breaker.rs"]
mod breaker;

#[rustfmt::skip]
#[path = "../../src/drill.rs"]
mod drill;

mod metrics;
mod models;

#[path = "../../src/proxy/permit.rs"]
mod permit;

/// As much of an upstream as a permit counts.
mod upstream {
    use std::sync::atomic::AtomicUsize;

    pub struct Upstream {
        pub in_flight: AtomicUsize,
        pub settings: Settings,
    }

    pub struct Settings {
        pub max_in_flight: usize,
    }
}

fn main() {
    let only: Vec<_> = env::args().skip(1).collect();
    for (name, model) in models::ALL {
        // As in other tests: the name, or a part of it.
        let is_asked_for = only
            .iter()
            .all(|part| part.starts_with('-') || name.contains(&**part));
        if is_asked_for {
            models::check(name, model);
        }
    }
}
