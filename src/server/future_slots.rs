//! Memory for the futures of requests, which one request leaves to the next. They are large, so a connection without a request
//! holds none, and to allocate one for each request costs more than most of its steps.

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// How many slots are kept free on a worker, at most.
const MAX_FREE: usize = 64;

/// The free slots of one worker. All its futures are of one type, which has no name, so it isn't said here.
#[derive(Clone, Default)]
pub(super) struct FutureSlots(Rc<OnceCell<Rc<dyn Any>>>);

impl FutureSlots {
    /// The same service, with its futures in slots.
    ///
    /// # Panics
    ///
    /// If it was called before with a service whose futures are of another type.
    pub(super) fn place_futures_of<R, F: Future + 'static>(
        &self,
        service: impl Fn(R) -> F,
    ) -> impl Fn(R) -> InSlot<F> {
        let free = self.0.get_or_init(|| Rc::new(FreeSlots::<F>::default()));
        let free = Rc::clone(free).downcast::<FreeSlots<F>>();
        let free = free.expect("all futures are of one type");
        move |request| InSlot::new(service(request), &free)
    }
}

type Slot<F> = Pin<Box<Option<F>>>;

struct FreeSlots<F>(RefCell<Vec<Slot<F>>>);

impl<F> Default for FreeSlots<F> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

/// A future in a slot. Dropped, it leaves the slot to the next.
pub(super) struct InSlot<F> {
    slot: Option<Slot<F>>,
    free: Rc<FreeSlots<F>>,
}

impl<F> InSlot<F> {
    fn new(future: F, free: &Rc<FreeSlots<F>>) -> Self {
        let slot = free.0.borrow_mut().pop();
        let mut slot = slot.unwrap_or_else(|| Box::pin(None));
        slot.set(Some(future));
        Self {
            slot: Some(slot),
            free: Rc::clone(free),
        }
    }
}

impl<F: Future> Future for InSlot<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let slot = self.slot.as_mut().expect("it is taken only when dropped");
        let future = slot.as_mut().as_pin_mut();
        future.expect("it is emptied only when dropped").poll(cx)
    }
}

impl<F> Drop for InSlot<F> {
    fn drop(&mut self) {
        let Some(mut slot) = self.slot.take() else {
            return;
        };
        slot.set(None);
        let mut free = self.free.0.borrow_mut();
        if free.len() < MAX_FREE {
            free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_slot_serves_one_future_after_another_and_holds_none_between() {
        let slots = FutureSlots::default();
        let witness = Rc::new(());
        let service = slots.place_futures_of(|waits: bool| {
            let witness = Rc::clone(&witness);
            async move {
                if waits {
                    pending::<()>().await;
                }
                Rc::strong_count(&witness)
            }
        });
        assert_eq!(service(false).await, 2);
        assert_eq!(Rc::strong_count(&witness), 1);
        let (first, second) = (service(true), service(true));
        assert_eq!(Rc::strong_count(&witness), 3);
        drop((first, second));
        assert_eq!(Rc::strong_count(&witness), 1);
        assert_eq!(service(false).await, 2);
    }
}
