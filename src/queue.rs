//! The queue of callbacks: what an app couldn't take is stored durably, and delivered when it is well again.
//!
//! A [`Callback`] is stored by a [`Store`], and is waiting from then on. Callbacks of one route and key are claimed one after the
//! other, the oldest first; other keys don't wait for them. A [`Claim`] ends by an [`Ending`]: delivered, to be tried again, or a
//! dead letter. Nothing here knows how a callback is delivered, or when.

mod callback;
pub mod embedded;
mod encoding;
mod index;
mod key;
pub mod nats;
mod settings;
mod store;

pub use callback::Callback;
pub use key::key_of;
pub use settings::{Place, Settings};
pub use store::{
    Changes, Claim, Ending, Entry, Error, Filter, Future, Id, ParseIdError, RouteSummary, State,
    Store, Summary,
};
