//! The state of a key at the server: which instance may deliver its oldest callback, and how often that has failed.

use std::sync::Arc;

use crate::queue::store::{Error, Id};

use super::jetstream::{JetStream, Which};
use super::shared::Shared;
use super::state::State;

/// Renews a lease until the task is aborted, or another instance has the lease.
pub(super) async fn renew(shared: Arc<Shared>, token: String, mine: State) {
    loop {
        tokio::time::sleep(shared.settings.lease / 3).await;
        let Ok(session) = shared.session().await else {
            continue;
        };
        let Ok((state, revision)) = read_state(&shared, &session, &token).await else {
            continue;
        };
        if state.owner != mine.owner || state.id != mine.id {
            return;
        }
        let _ = write_state(&shared, &session, &token, &mine, revision).await;
    }
}

/// Ends a claim without an attempt: the callback is due as before.
pub(super) async fn give_back(shared: &Shared, id: Id, token: &str) -> Result<(), Error> {
    let given_back = async {
        let session = shared.session().await?;
        let (state, revision) = read_state(shared, &session, token).await?;
        if state.owner == shared.owner && state.id == id.0 {
            let free = State {
                owner: String::new(),
                ..state
            };
            write_state(shared, &session, token, &free, revision).await?;
        }
        Ok(())
    };
    let given_back = given_back.await;
    shared.release(id, token);
    given_back
}

/// Writes the state of a key after a claim; `None` deletes it. If another instance has taken the claim over, nothing is
/// written.
pub(super) async fn end_lease(
    shared: &Shared,
    session: &JetStream,
    token: &str,
    state: Option<&State>,
) -> Result<(), Error> {
    loop {
        let (current, revision) = read_state(shared, session, token).await?;
        if current.owner != shared.owner {
            return Ok(());
        }
        let is_written = match state {
            Some(state) => write_state(shared, session, token, state, revision)
                .await?
                .is_some(),
            None => {
                session
                    .delete_message(&shared.state_stream(), revision)
                    .await?
            }
        };
        if is_written {
            return Ok(());
        }
    }
}

/// The state of a key, and its revision; 0 if it was never written.
pub(super) async fn read_state(
    shared: &Shared,
    session: &JetStream,
    token: &str,
) -> Result<(State, u64), Error> {
    let subject = shared.state_subject(token);
    let stream = shared.state_stream();
    let found = session.message(&stream, Which::Newest(&subject));
    let found = found.await?;
    Ok(found.map_or_else(Default::default, |message| {
        let state = State::decode(&message.payload).unwrap_or_default();
        (state, message.sequence)
    }))
}

/// Writes the state of a key, unless it has changed since it had this revision; gives back the new one.
pub(super) async fn write_state(
    shared: &Shared,
    session: &JetStream,
    token: &str,
    state: &State,
    revision: u64,
) -> Result<Option<u64>, Error> {
    let subject = shared.state_subject(token);
    let written = session.publish_after(subject, revision, state.encode());
    let written = written.await?;
    if let Some(revision) = written {
        let mut known = shared.known();
        known.note(token, state.clone(), revision, &shared.owner);
    }
    Ok(written)
}
