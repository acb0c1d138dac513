//! Everything that can run a function: to add an engine, add a row.

use super::compare::elements_differ;
use super::data::Tolerance;
use matex_ir::tensor::interp::{Array, RunLimits, run};
use matex_ir::tensor::{Func, RunError, parse};
use matex_ir::{DType, Scalar};
use matex_lang::{Limits, codes};
use matex_passes::{CostModel, Options, Tier};
use matex_runtime::{
    AsArg, AsView, CallOptions, DeviceTensor, Element, Engine as Code, ExecError, Executable, FromTensor,
    LayoutClass, PrepareOptions, Simd, Tensor, Value, View,
};
use ndarray::{ArrayD, Axis, Slice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex};

/// One way to run a function.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// The rewritings that it may make.
    pub(crate) tier: Tier,
    pub(crate) run: fn(&Func, &[Array]) -> Outcome,
}

/// Results, or the code of an error and its text.
pub(crate) type Outcome = Result<Vec<Array>, (Option<matex_ir::Code>, String)>;

/// Enough for every case; the endless ones end soon.
const MAX_STEPS: u64 = 20_000;

/// All engines; the first one is the oracle. The last one is the GPU, in a build with one.
pub(crate) static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let mut all: Vec<Engine> = CPU_ENGINES.to_vec();
    if gpu_is_there() {
        all.push(Engine { name: "GPU", tier: Tier::Default, run: gpu });
    }
    all
});

/// Whether there is a GPU to test. With `MATEX_REQUIRE_GPU=1` it is an error when there is none.
pub(crate) fn gpu_is_there() -> bool {
    if !matex_runtime::HAS_GPU {
        return false;
    }
    let found = matex_runtime::gpu_info();
    let required = std::env::var("MATEX_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(found.is_ok() || !required, "{found:?}");
    if let Err(e) = &found {
        eprintln!("skipped: {e}");
    }
    found.is_ok()
}

const CPU_ENGINES: &[Engine] = &[
    Engine { name: "oracle", tier: Tier::Exact, run: oracle },
    Engine { name: "oracle after a round trip of the text", tier: Tier::Exact, run: round_trip },
    Engine {
        name: "Cranelift",
        tier: Tier::Default,
        run: |f, a| execute(f, a, Code::Cranelift, Memory::Plain, Options::default()),
    },
    Engine {
        name: "Cranelift, strided",
        tier: Tier::Default,
        run: |f, a| execute(f, a, Code::Cranelift, Memory::Strided, Options::default()),
    },
    Engine {
        name: "Cranelift, strided, neither optimized nor fused",
        tier: Tier::Exact,
        run: |f, a| execute(f, a, Code::Cranelift, Memory::Strided, Options::plain()),
    },
    Engine {
        name: "Cranelift, exact, arguments given away",
        tier: Tier::Exact,
        run: |f, a| execute(f, a, Code::Cranelift, Memory::Given, tier(Tier::Exact)),
    },
    Engine {
        name: "arguments given away, neither optimized nor fused",
        tier: Tier::Exact,
        run: |f, a| execute(f, a, Code::Cranelift, Memory::Given, Options::plain()),
    },
    Engine { name: "shared among threads", tier: Tier::Default, run: |f, a| shared(f, a, Simd::Auto, 2) },
    Engine {
        name: "vectors of 128 bits, shared among threads",
        tier: Tier::Default,
        run: |f, a| shared(f, a, Simd::W128, 5),
    },
    Engine { name: "vectors of 128 bits", tier: Tier::Default, run: |f, a| wide(f, a, Simd::W128) },
    Engine { name: "wide256", tier: Tier::Default, run: |f, a| wide(f, a, Simd::W256) },
    Engine { name: "wide512", tier: Tier::Default, run: |f, a| wide(f, a, Simd::W512) },
    Engine {
        name: "loop interpreter",
        tier: Tier::Default,
        run: |f, a| execute(f, a, Code::LoopInterp, Memory::Plain, Options::default()),
    },
    Engine {
        name: "loop interpreter, strided",
        tier: Tier::Default,
        run: |f, a| execute(f, a, Code::LoopInterp, Memory::Strided, Options::default()),
    },
    Engine {
        name: "loop interpreter, neither optimized nor fused",
        tier: Tier::Exact,
        run: |f, a| execute(f, a, Code::LoopInterp, Memory::Plain, Options::plain()),
    },
    Engine {
        name: "Cranelift, fast",
        tier: Tier::Fast,
        run: |f, a| execute(f, a, Code::Cranelift, Memory::Plain, tier(Tier::Fast)),
    },
];

fn tier(tier: Tier) -> Options {
    Options { tier, ..Options::default() }
}

/// Machines that differ as no two do: on one arithmetic is next to free and memory slow, on the other the other way round.
pub(crate) fn far_machines() -> [CostModel; 2] {
    let fixed = CostModel::FIXED;
    let moving = |by: f64| fixed.levels.map(|(holds, rate)| (holds, rate * by));
    let slow_memory = CostModel { vector: 1e5, scalar: 1e3, launch: 1e4, levels: moving(0.01), ..fixed };
    let slow_arithmetic =
        CostModel { vector: 1.0, scalar: 0.01, launch: 0.2, levels: moving(100.0), ..fixed };
    [slow_memory, slow_arithmetic]
}

/// Machine code by the plan for a machine of these constants.
pub(crate) fn planned_for(costs: CostModel, func: &Func, args: &[Array]) -> Outcome {
    execute(func, args, Code::Cranelift, Memory::Plain, Options { costs, ..Options::default() })
}

/// How the arguments lie in memory.
#[derive(Clone, Copy, PartialEq)]
enum Memory {
    /// In row-major order without gaps.
    Plain,
    /// The same, and the call's own.
    Given,
    /// Every axis backwards and with a gap behind each element.
    Strided,
}

/// Runs an engine; a panic is an error without a code.
pub(crate) fn guarded(engine: &Engine, func: &Func, args: &[Array]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (engine.run)(func, args)))
        .unwrap_or_else(|_| Err((None, "it panicked".to_owned())))
}

fn oracle(func: &Func, args: &[Array]) -> Outcome {
    run(func, args, &RunLimits { max_steps: MAX_STEPS, ..RunLimits::default() })
        .map_err(|e| (code(&e), e.to_string()))
}

fn round_trip(func: &Func, args: &[Array]) -> Outcome {
    let text = func.to_string();
    let read = parse(&text).map_err(|e| (None, format!("the text does not read back: {e}\n{text}")))?;
    oracle(&read, args)
}

/// Machine code of one width, on arguments without gaps.
fn wide(func: &Func, args: &[Array], simd: Simd) -> Outcome {
    // On a CPU that lacks them the widest that it has are used.
    execute_for(func, args, Code::Cranelift, Memory::Plain, Options::default(), simd)
}

/// Machine code whose work is shared out however little it is, in a pool of so many threads.
fn shared(func: &Func, args: &[Array], simd: Simd, threads: usize) -> Outcome {
    static POOLS: Mutex<Vec<Arc<rayon_core::ThreadPool>>> = Mutex::new(Vec::new());
    let pool = {
        let mut pools = POOLS.lock().unwrap();
        let known = pools.iter().find(|p| p.current_num_threads() == threads).cloned();
        known.unwrap_or_else(|| {
            let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads).build();
            pools.push(Arc::new(pool.unwrap()));
            pools[pools.len() - 1].clone()
        })
    };
    let options = PrepareOptions { simd, share_all: true, ..PrepareOptions::default() };
    pool.install(|| execute_by(func, args, Memory::Strided, options))
}

/// The GPU as far as it goes.
fn gpu(func: &Func, args: &[Array]) -> Outcome {
    let options = PrepareOptions { gpu: true, ..PrepareOptions::default() };
    execute_by(func, args, Memory::Plain, options)
}

/// The GPU on arguments that are there, with results that stay until they are read.
pub(crate) fn gpu_resident(func: &Func, args: &[Array]) -> Outcome {
    let failed = |e: ExecError| (Some(e.code()), e.to_string());
    let limits = Limits { loop_steps: MAX_STEPS, elements: 1 << 26, ..Limits::default() };
    let options = PrepareOptions { gpu: true, limits, ..PrepareOptions::default() };
    let executable = Executable::prepare(func, &[], &options).map_err(failed)?;
    let held: Vec<DeviceTensor> =
        args.iter().map(|a| DeviceTensor::from_tensor(&plain(a, a.shape(), a.data())).unwrap()).collect();
    held.iter().try_for_each(DeviceTensor::to_gpu).map_err(failed)?;
    let values: Vec<Value<'_>> = held.iter().map(AsArg::as_arg).collect();
    let results = executable.call_resident(&values, &CallOptions::default()).map_err(failed)?;
    // What the first call was lent is what the second one is.
    drop(results);
    let results = executable.call_resident(&values, &CallOptions::default()).map_err(failed)?;
    let array = |t: &DeviceTensor| {
        let t = t.host().map_err(failed)?;
        Ok(Array::new(t.dtype(), t.shape().to_vec(), t.scalars().collect()).unwrap())
    };
    results.iter().map(array).collect()
}

/// The GPU with one kernel an op, on arguments with gaps.
pub(crate) fn gpu_strided(func: &Func, args: &[Array]) -> Outcome {
    let options = PrepareOptions { gpu: true, passes: Options::plain(), ..PrepareOptions::default() };
    execute_by(func, args, Memory::Strided, options)
}

fn execute(func: &Func, args: &[Array], engine: Code, memory: Memory, passes: Options) -> Outcome {
    execute_for(func, args, engine, memory, passes, Simd::Auto)
}

fn execute_for(
    func: &Func,
    args: &[Array],
    engine: Code,
    memory: Memory,
    passes: Options,
    simd: Simd,
) -> Outcome {
    execute_by(func, args, memory, PrepareOptions { engine, passes, simd, ..PrepareOptions::default() })
}

fn execute_by(func: &Func, args: &[Array], memory: Memory, options: PrepareOptions) -> Outcome {
    let limits = Limits { loop_steps: MAX_STEPS, elements: 1 << 26, ..Limits::default() };
    let options = PrepareOptions { limits, ..options };
    let strided = memory == Memory::Strided;
    let class =
        |a: &Array| if strided && a.rank() > 0 { LayoutClass::Strided } else { LayoutClass::Contiguous };
    let classes: Vec<LayoutClass> = args.iter().map(class).collect();
    let failed = |e: ExecError| (Some(e.code()), e.to_string());
    let executable = Executable::prepare(func, &classes, &options).map_err(failed)?;
    let array =
        |t: &Tensor| Array::new(t.dtype(), t.shape().to_vec(), t.as_view().scalars().collect()).unwrap();
    if memory == Memory::Given {
        let mut given: Vec<Tensor> = args.iter().map(|a| plain(a, a.shape(), a.data())).collect();
        let results = executable.call_owned(&mut given, &CallOptions::default()).map_err(failed)?;
        return Ok(results.iter().map(array).collect());
    }
    let held: Vec<Box<dyn AsView>> = args
        .iter()
        .map(|a| if strided { spread(a) } else { Box::new(plain(a, a.shape(), a.data())) })
        .collect();
    let views: Vec<View<'_>> = held.iter().map(|t| t.as_view()).collect();
    let results: Vec<Array> = executable.call(&views).map_err(failed)?.iter().map(array).collect();
    let again = executable.again(|call| {
        let alike = views.iter().all(|v| call.arg(v));
        alike.then(|| call.run_new(None))?
    });
    let again: Option<Vec<Array>> = again.map(|results| results.iter().map(array).collect());
    if again.is_some_and(|again| !results.iter().zip(&again).all(alike)) {
        return Err((None, "the second call gives other numbers than the first".to_owned()));
    }
    Ok(results)
}

/// Whether two results have the same bits, any NaN being as good as any other.
fn alike((x, y): (&Array, &Array)) -> bool {
    x.shape() == y.shape() && elements_differ(x.data(), y.data(), Tolerance::default()).is_none()
}

/// Whether two functions give the same bits, any NaN as good as any other, on kernels that are not optimized further.
pub(crate) fn exact_kernels(a: &Func, b: &Func, args: &[Array]) -> bool {
    let run = |f: &Func| execute(f, args, Code::Cranelift, Memory::Plain, Options::plain());
    match (run(a), run(b)) {
        (Ok(a), Ok(b)) => a.len() == b.len() && a.iter().zip(&b).all(alike),
        (Err((a, _)), Err((b, _))) => a == b,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn plain(a: &Array, shape: &[usize], data: &[Scalar]) -> Tensor {
    Tensor::from_scalars(a.dtype(), shape, data.iter().copied()).unwrap()
}

/// The same elements, backwards in memory and each with a neighbour that must not be read.
fn spread(a: &Array) -> Box<dyn AsView> {
    match a.dtype() {
        DType::F16 => spread_as::<half::f16>(a),
        DType::BF16 => spread_as::<half::bf16>(a),
        DType::F32 => spread_as::<f32>(a),
        DType::F64 => spread_as::<f64>(a),
        DType::I8 => spread_as::<i8>(a),
        DType::I16 => spread_as::<i16>(a),
        DType::I32 => spread_as::<i32>(a),
        DType::I64 => spread_as::<i64>(a),
        DType::U8 => spread_as::<u8>(a),
        DType::U16 => spread_as::<u16>(a),
        DType::U32 => spread_as::<u32>(a),
        DType::U64 => spread_as::<u64>(a),
        DType::Bool => spread_as::<bool>(a),
    }
}

fn spread_as<T: Element>(a: &Array) -> Box<dyn AsView> {
    let mut shape = a.shape().to_vec();
    let Some(last) = shape.last_mut() else { return Box::new(plain(a, a.shape(), a.data())) };
    *last *= 2;
    let gap = Scalar::from_i128(a.dtype(), 77);
    let data: Vec<Scalar> = a.data().iter().rev().flat_map(|s| [gap, *s]).collect();
    let mut array = ArrayD::<T>::from_tensor(plain(a, &shape, &data)).unwrap();
    for axis in 0..shape.len() {
        let step = if axis + 1 == shape.len() { -2 } else { -1 };
        array.slice_axis_inplace(Axis(axis), Slice::new(0, None, step));
    }
    Box::new(array)
}

/// The code in the catalogue for what can go wrong at a call.
pub(crate) fn code(e: &RunError) -> Option<matex_ir::Code> {
    match e {
        RunError::ArgumentCount { .. } => Some(codes::CALL_COUNT),
        RunError::ArgumentDType { .. } => Some(codes::CALL_DTYPE),
        RunError::ArgumentRank { .. } => Some(codes::CALL_RANK),
        RunError::ArgumentSize { .. } => Some(codes::CALL_SIZE),
        RunError::Guard { code, .. } | RunError::Check { code, .. } | RunError::Library { code, .. } => {
            Some(*code)
        }
        RunError::Size { .. } => Some(codes::CALL_SIZE_NEGATIVE),
        RunError::IndexOutOfRange { .. } => Some(codes::RUNTIME_INDEX),
        RunError::Steps { .. } => Some(codes::LOOP_STEPS_EXHAUSTED),
        RunError::Elements { .. } => Some(codes::LIMIT_ELEMENTS),
        RunError::Cancelled => Some(codes::CANCELLED),
        RunError::Malformed(_) => None,
    }
}
