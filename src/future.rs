//! Calls that somebody waits for without holding a thread.
//!
//! A thread of the pool carries the call out, and the future is told when it is done: nothing here belongs to an
//! executor, so that any of them can poll it. While a GPU works, no thread of the pool waits for it: results stay there, and
//! are read when it is done.

use crate::arguments::Arg;
use crate::error::Error;
use crate::function::{CallOptions, Function};
use crate::options::Device;
use crate::outputs::Outputs;
use crate::resident::DeviceTensor;
use matex_runtime::{Tensor, after_gpu, spawn};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A call under way: see [`Function::call_async`].
///
/// It begins at once, and not when it is polled first. Dropping it sets the flag that [`CallOptions::cancel`] sets, so
/// that the call ends before its next kernel or step of a loop.
///
/// ```
/// let f = matex::compile("x + 1")?;
/// let call: matex::Call = f.call_async(vec![matex::Tensor::from_slice(&[1], &[1.5])?]);
/// // Not waited for, it is cancelled.
/// drop(call);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it cancels the call"]
pub struct Call {
    state: Arc<Mutex<State>>,
    cancel: Arc<AtomicBool>,
}

/// The end of a call that whoever carries it out has.
struct Promise {
    state: Arc<Mutex<State>>,
    cancel: Arc<AtomicBool>,
}

impl Promise {
    /// Hands the result over.
    fn keep(self, result: Result<Outputs, Error>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Reads results once the GPU is done with them, and hands them over, unless nobody wants them any more.
    fn keep_later(self, results: Outputs<DeviceTensor>) {
        after_gpu(move || {
            if !self.cancel.load(Ordering::Relaxed) {
                self.keep(results.read());
            }
        });
    }
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
    /// Calls it on a thread of the pool, with values that it owns. The future that comes back is for any executor. No
    /// thread of the pool waits while a GPU works.
    ///
    /// # Errors
    /// What it resolves to is what [`call`](Function::call) gives; polled after that it stays pending.
    ///
    /// ```
    /// let f = matex::compile("sum(x**2)")?;
    /// // `.await` does the same in an async function.
    /// let out = pollster::block_on(f.call_async(vec![matex::Tensor::from_slice(&[2], &[3.0, 4.0])?]))?;
    /// assert_eq!(out[0].to_string(), "25.0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_async(&self, args: Vec<Tensor>) -> Call {
        let (state, cancel) = (Arc::<Mutex<State>>::default(), Arc::new(AtomicBool::new(false)));
        let function = self.clone();
        let promise = Promise { state: state.clone(), cancel: cancel.clone() };
        let options = CallOptions::new().cancel(cancel.clone());
        spawn(move || {
            let args: Vec<Arg<'_>> = args.iter().map(|t| Arg::new(t)).collect();
            if function.options().device != Device::Gpu {
                return promise.keep(function.call_with(&options, &args));
            }
            match function.call_resident_with(&options, &args) {
                Ok(results) => promise.keep_later(results),
                Err(error) => promise.keep(Err(error)),
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
