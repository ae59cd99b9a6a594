//! A panic is a failure like any other: the caller still gets a response.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::failure::Failure;

/// Runs a future; a panic in it becomes [`Failure::Panic`].
pub(super) async fn catch_panic<T, E: From<Failure>>(
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| future.as_mut().poll(cx));
        catch_unwind(poll).unwrap_or_else(|_| Poll::Ready(Err(Failure::Panic.into())))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_future_is_a_failure_like_any_other() {
        let future = catch_panic(async {
            tokio::task::yield_now().await;
            if true {
                panic!("a bug");
            }
            Ok::<(), Failure>(())
        });
        assert!(matches!(future.await, Err(Failure::Panic)));
    }
}
