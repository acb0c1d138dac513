//! Who waits for the device without holding a thread for it: one thread a device does for all of them.
//!
//! It begins when somebody first waits and ends when nobody does any more. What is to be done then goes to the pool, so that
//! nothing keeps this thread from telling the next one.

use super::device::{Device, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is to be done when the work that was sent before is done.
type Then = Box<dyn FnOnce() + Send>;

/// Somebody who waits; none once told.
type Waiter = Arc<Mutex<Option<Then>>>;

/// All who wait for a device.
#[derive(Default)]
pub(super) struct Answers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiters: Vec<Waiter>,
    /// Whether there is a thread that looks after them.
    attended: bool,
}

/// How long the thread rests when an answer is on its way through another thread.
const REST: Duration = Duration::from_micros(100);

fn tell(waiter: &Waiter) {
    if let Some(then) = lock(waiter).take() {
        crate::spawn(then);
    }
}

impl Device {
    /// Does something on a thread of the pool once all work that was sent is done, or the device is lost.
    pub(crate) fn when_done(self: &Arc<Device>, then: impl FnOnce() + Send + 'static) {
        let waiter: Waiter = Arc::new(Mutex::new(Some(Box::new(then))));
        let told = waiter.clone();
        self.queue.on_submitted_work_done(move || tell(&told));
        let mut state = lock(&self.answers.state);
        state.waiters.push(waiter);
        if !state.attended {
            let device = self.clone();
            let thread = std::thread::Builder::new().name("matex-gpu".to_owned());
            state.attended = thread.spawn(move || device.attend()).is_ok();
        }
        if !state.attended {
            // Without a thread to wait, whoever reads the results does.
            state.waiters.drain(..).for_each(|w| tell(&w));
        }
    }

    /// Waits for the device as long as somebody waits for it.
    fn attend(&self) {
        loop {
            let done = self.device.poll(wgpu::PollType::wait_indefinitely()).is_ok();
            let lost = self.check().is_err() || !done;
            let mut state = lock(&self.answers.state);
            // A lost device may tell nobody. What they do then finds out that it is lost.
            state.waiters.iter().filter(|_| lost).for_each(tell);
            state.waiters.retain(|w| lock(w).is_some());
            if state.waiters.is_empty() {
                state.attended = false;
                return;
            }
            drop(state);
            std::thread::sleep(REST);
        }
    }
}
