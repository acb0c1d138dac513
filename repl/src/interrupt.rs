//! Ctrl-C: while a program runs, the first asks it to stop and the second ends everything; at a prompt it drops the line; else
//! the first ends everything.

use std::process::exit;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set to stop the running program.
static CANCEL: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Whether something runs that looks at the flag, or a file is being written.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Whether a line is being read. The editor takes the key itself; on a terminal that is too plain for it the system drops what
/// was typed.
static PROMPT: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted program.
const INTERRUPTED: i32 = 130;

/// Begins to listen. Where the system does not let us, Ctrl-C ends the program as it always does.
pub(crate) fn install() {
    let _ = ctrlc::set_handler(|| {
        if PROMPT.load(Ordering::SeqCst) {
            let _ = crate::output::write("\n> ");
            return;
        }
        if !BUSY.load(Ordering::SeqCst) || CANCEL.swap(true, Ordering::SeqCst) {
            exit(INTERRUPTED);
        }
    });
}

/// The flag that stops a call.
pub(crate) fn flag() -> Arc<AtomicBool> {
    CANCEL.clone()
}

/// Does work that Ctrl-C is not to cut off: a call, which looks at the flag, or the writing of a file.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> T {
    // Work nests: a line of a session is work, and so are the calls in it.
    let before = BUSY.swap(true, Ordering::SeqCst);
    let result = work();
    BUSY.store(before, Ordering::SeqCst);
    result
}

/// Reads a line behind the prompt `> `.
pub(crate) fn at_prompt<T>(read: impl FnOnce() -> T) -> T {
    PROMPT.store(true, Ordering::SeqCst);
    let result = read();
    PROMPT.store(false, Ordering::SeqCst);
    result
}

/// Whether Ctrl-C was pressed since the last time that this was asked.
pub(crate) fn take() -> bool {
    CANCEL.swap(false, Ordering::SeqCst)
}
