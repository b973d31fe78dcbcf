//! Work that is not broken off when nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// A future that goes on in a task of its own if it is dropped before its end.
///
/// Spawning every operation would do the same, and would wake another thread for each: the task is made only for those
/// whose client has gone.
pub struct Outliving<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Outliving<T> {
    /// Makes the work outlive its waiter.
    #[must_use]
    pub fn new(work: BoxFuture<'static, T>) -> Self {
        Self(Some(work))
    }
}

impl<T: Send + 'static> Future for Outliving<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.0.as_mut() else { return Poll::Pending };
        let output = std::task::ready!(work.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for Outliving<T> {
    #[expect(clippy::disallowed_methods, reason = "nobody waits for it any more; it has a deadline of its own")]
    fn drop(&mut self) {
        if let Some(work) = self.0.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            tokio::spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn dropped_work_goes_on_and_finished_work_does_not_run_twice() {
        let (begin, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let mut work = Outliving::new(
            async move {
                begun.await.unwrap();
                end.send(7).unwrap();
            }
            .boxed(),
        );
        assert!((&mut work).now_or_never().is_none());
        drop(work);
        begin.send(()).unwrap();
        assert_eq!(ended.await, Ok(7));

        let mut done = Outliving::new(async { 1 }.boxed());
        assert_eq!((&mut done).await, 1);
        assert!((&mut done).now_or_never().is_none(), "a second poll finds nothing");
    }
}
