//! Calls that somebody waits for without holding a thread.
//!
//! A thread of the pool carries the call out, and the future is told when it is done: nothing here belongs to an
//! executor, so that any of them can poll it.

use crate::arguments::Arg;
use crate::error::Error;
use crate::function::{CallOptions, Function};
use crate::outputs::Outputs;
use matex_runtime::{Tensor, spawn};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A call under way: see [`Function::call_async`].
///
/// It begins at once, and not when it is polled first. Dropping it sets the flag that [`CallOptions::cancel`] sets, so
/// that the call ends before its next kernel or step of a loop.
#[must_use = "dropping it cancels the call"]
pub struct Call {
    state: Arc<Mutex<State>>,
    cancel: Arc<AtomicBool>,
}

/// What the thread of the call and whoever waits for it share.
#[derive(Default)]
struct State {
    result: Option<Result<Outputs, Error>>,
    waker: Option<Waker>,
    /// The result has been handed over.
    taken: bool,
}

impl Function {
    /// Calls it on a thread of the pool, with values that it owns. The future that comes back is for any executor.
    ///
    /// # Errors
    /// What it resolves to is what [`call`](Function::call) gives; polled after that it stays pending.
    ///
    /// ```
    /// # use std::future::Future;
    /// # use std::task::{Context, Poll, Waker};
    /// let f = matex::compile("sum(x**2)")?;
    /// let mut call = std::pin::pin!(f.call_async(vec![matex::Tensor::from_slice(&[2], &[3.0, 4.0])?]));
    /// # let outputs = loop {
    /// #     let mut context = Context::from_waker(Waker::noop());
    /// #     if let Poll::Ready(out) = call.as_mut().poll(&mut context) { break out; }
    /// #     std::thread::yield_now();
    /// # };
    /// # /*
    /// let outputs = call.await;
    /// # */
    /// assert_eq!(outputs?[0].to_string(), "25.0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_async(&self, args: Vec<Tensor>) -> Call {
        let (state, cancel) = (Arc::<Mutex<State>>::default(), Arc::new(AtomicBool::new(false)));
        let (function, shared) = (self.clone(), state.clone());
        let options = CallOptions::new().cancel(cancel.clone());
        spawn(move || {
            let args: Vec<Arg<'_>> = args.iter().map(|t| Arg::new(t)).collect();
            let result = function.call_with(&options, &args);
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.result = Some(result);
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        Call { state, cancel }
    }
}

impl Future for Call {
    type Output = Result<Outputs, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.result.take() {
            Some(result) => {
                state.taken = true;
                Poll::Ready(result)
            }
            None => {
                if !state.taken {
                    state.waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Call").field("done", &(state.taken || state.result.is_some())).finish()
    }
}
