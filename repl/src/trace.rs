//! What the library tells of itself while it compiles and runs, as a file for Perfetto and Chrome's `about:tracing`, and as
//! measured times of kernels.
//!
//! The library emits spans and events of the `tracing` crate and knows nothing of who listens. This is a listener that
//! keeps them, with the time and the thread of each.

use crate::data::DataError;
use crate::failure::Failure;
use matex_lang::codes;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The most spans and events that are kept: a loop of kernels makes millions of them.
const MOST: usize = 1_000_000;

/// A span that has ended, or an event.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) name: String,
    /// Microseconds since the recording began.
    start: f64,
    /// Microseconds; none for an event.
    pub(crate) length: Option<f64>,
    thread: u64,
    pub(crate) fields: Map<String, Value>,
}

/// Everything since it was made.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Shared>);

struct Shared {
    begin: Instant,
    spans: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    open: HashMap<u64, (&'static str, Map<String, Value>)>,
    done: Vec<Mark>,
}

thread_local! {
    /// The spans that this thread is in, with the time at which each was entered.
    static ENTERED: RefCell<Vec<(u64, f64)>> = const { RefCell::new(Vec::new()) };
    /// The number of this thread in the file.
    static THREAD: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
}

static THREADS: AtomicU64 = AtomicU64::new(1);

impl Recorder {
    pub(crate) fn new() -> Recorder {
        let kept = Mutex::default();
        Recorder(Arc::new(Shared { begin: Instant::now(), spans: AtomicU64::new(1), kept }))
    }

    fn now(&self) -> f64 {
        self.0.begin.elapsed().as_nanos() as f64 / 1e3
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has ended so far.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.kept().done.clone()
    }

    fn keep(&self, mark: Mark) {
        let mut kept = self.kept();
        if kept.done.len() < MOST {
            kept.done.push(mark);
        }
    }

    /// The trace event format: one object an event, times in microseconds.
    pub(crate) fn chrome(&self) -> Value {
        let events: Vec<Value> = self.marks().iter().map(Mark::chrome).collect();
        json!({ "displayTimeUnit": "ns", "traceEvents": events })
    }
}

impl Mark {
    fn chrome(&self) -> Value {
        let mut event = json!({
            "name": self.label(), "cat": "matex", "pid": 1, "tid": self.thread, "ts": self.start, "args": self.fields,
        });
        match self.length {
            Some(length) => {
                event["ph"] = json!("X");
                event["dur"] = json!(length);
            }
            None => {
                event["ph"] = json!("i");
                event["s"] = json!("t");
            }
        }
        event
    }

    /// The name, with what it is about.
    fn label(&self) -> String {
        match self.fields.get("name").and_then(Value::as_str) {
            Some(what) => format!("{} {what}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Runs something and writes what the library told meanwhile to a file.
pub(crate) fn recorded(path: Option<&str>, run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let Some(path) = path else { return run() };
    let recorder = Recorder::new();
    let done = tracing::subscriber::with_default(recorder.clone(), run);
    let text = recorder.chrome().to_string();
    let written = std::fs::write(path, text).map_err(|e| {
        Failure::from(DataError::new(codes::FILE_NOT_WRITTEN, path, format!("cannot write: {e}")))
    });
    done.and(written)
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("matex")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(Map::new());
        span.record(&mut fields);
        let id = self.0.spans.fetch_add(1, Ordering::Relaxed);
        self.kept().open.insert(id, (span.metadata().name(), fields.0));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some((_, fields)) = self.kept().open.get_mut(&span.into_u64()) {
            let mut more = Fields(Map::new());
            values.record(&mut more);
            fields.extend(more.0);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let message = fields.0.remove("message");
        let name = message.as_ref().and_then(Value::as_str).unwrap_or(event.metadata().name());
        let (name, thread) = (name.to_owned(), THREAD.with(|t| *t));
        self.keep(Mark { name, start: self.now(), length: None, thread, fields: fields.0 });
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push((span.into_u64(), self.now())));
    }

    fn exit(&self, span: &Id) {
        let now = self.now();
        let id = span.into_u64();
        let start = ENTERED.with_borrow_mut(|entered| {
            let at = entered.iter().rposition(|(other, _)| *other == id)?;
            Some(entered.remove(at).1)
        });
        let open = self.kept().open.get(&id).cloned();
        if let (Some(start), Some((name, fields))) = (start, open) {
            let (name, thread) = (name.to_owned(), THREAD.with(|t| *t));
            self.keep(Mark { name, start, length: Some(now - start), thread, fields });
        }
    }

    fn try_close(&self, span: Id) -> bool {
        self.kept().open.remove(&span.into_u64()).is_some()
    }
}

/// The fields of a span or an event as JSON.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }
}
