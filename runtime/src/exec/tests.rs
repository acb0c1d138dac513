//! Tests of the executor.

use super::*;
use crate::AsView;
use matex_ir::tensor::{Builder, ReduceOp, TensorType, ValueId};
use matex_ir::{DType, Dim, Op};
use matex_passes::plan::{Slot, Step};

fn func() -> Func {
    let ty = TensorType::new(DType::F64, vec![Dim::size("n"), Dim::size("m")]);
    let mut b = Builder::new("f", vec![Param { name: "x".into(), ty }]);
    let t = b.permute(ValueId(0), vec![1, 0]);
    let back = b.permute(t, vec![1, 0]);
    let y = b.map(Op::Add, &[ValueId(0), back]);
    let sum = b.reduce(ReduceOp::Sum, y, vec![0]);
    let at = b.size(Dim::ONE);
    let picked = b.gather(y, at, 1);
    let out = b.dot(y, sum, vec![], vec![(1, 0)]);
    b.finish(vec![sum, picked, out], vec![None; 3])
}

fn executable(engine: Engine) -> Executable {
    let options = PrepareOptions { engine, ..PrepareOptions::default() };
    Executable::prepare(&func(), &[LayoutClass::Strided], &options).unwrap()
}

/// All slots that kernels are bound by.
fn slots(plan: &mut Plan) -> Vec<&mut Slot> {
    let mut out = Vec::new();
    for item in plan.blocks.iter_mut().flat_map(|b| &mut b.items) {
        if let Step::Kernel(k) = &mut item.step {
            out.extend(k.extents.iter_mut());
            for o in &mut k.operands {
                out.push(&mut o.place.offset);
                out.extend(o.strides.iter_mut());
            }
        }
    }
    out
}

#[test]
fn an_executable_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Executable>();
}

/// Whatever slot stands in the wrong place: the call ends with an answer or an error, and never reaches outside of its
/// memory. The interpreter finds every such access by itself, so compiled code may succeed only where it does.
#[test]
fn a_wrong_plan_is_an_error() {
    let x = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let mut compiled = executable(Engine::Cranelift);
    compiled.plan.dims.extend([Dim::constant(1 << 40), Dim::constant(-1), Dim::constant(1 << 61)]);
    let mut interpreted = executable(Engine::LoopInterp);
    interpreted.plan.dims = compiled.plan.dims.clone();
    let limits = Limits { elements: 1000, ..Limits::default() };
    let (mut failures, dims) = (0, compiled.plan.dims.len() as u32);
    for place in 0..slots(&mut compiled.plan).len() {
        for wrong in (0..dims).map(Slot) {
            let right = std::mem::replace(slots(&mut compiled.plan)[place], wrong);
            *slots(&mut interpreted.plan)[place] = wrong;
            // What threads keep is for the plan as it was.
            compiled.id = IDS.fetch_add(1, Ordering::Relaxed);
            interpreted.id = IDS.fetch_add(1, Ordering::Relaxed);
            let options = CallOptions { limits: Some(&limits), ..CallOptions::default() };
            let found = compiled.call_with(&[x.as_view()], &options);
            let again = interpreted.call_with(&[x.as_view()], &options);
            assert_eq!(found.is_ok(), again.is_ok(), "{place} {wrong:?}: {found:?} {again:?}");
            failures += usize::from(found.is_err());
            *slots(&mut compiled.plan)[place] = right;
            *slots(&mut interpreted.plan)[place] = right;
        }
    }
    compiled.id = IDS.fetch_add(1, Ordering::Relaxed);
    assert!(failures > 50, "{failures}");
    assert!(compiled.call(&[x.as_view()]).is_ok());
}

#[test]
fn kernels_run_in_pieces_when_someone_may_cancel() {
    let exe = executable(Engine::Cranelift);
    let x = Tensor::from_vec(&[3, 3_000_000], (0..9_000_000).map(|i| f64::from(i % 1001)).collect()).unwrap();
    let never = AtomicBool::new(false);
    let whole = exe.call(&[x.as_view()]).unwrap();
    let pieces = exe
        .call_with(&[x.as_view()], &CallOptions { cancel: Some(&never), ..CallOptions::default() })
        .unwrap();
    assert_eq!(whole, pieces);
}

/// A kernel that keeps the squares of a row between its stages, in place of a plain sum of rows.
#[test]
fn rows_of_scratch_belong_to_the_thread() {
    let ty = TensorType::new(DType::F64, vec![Dim::size("n"), Dim::size("m")]);
    let mut b = Builder::new("f", vec![Param { name: "x".into(), ty }]);
    let sum = b.reduce(ReduceOp::Sum, ValueId(0), vec![1]);
    let func = b.finish(vec![sum], vec![None]);
    let staged = "kernel @staged [parallel, reduce] {
      $0: in f64[strided, unit]
      $1: out f64[strided, zero]
      $2: scratch f64[zero, unit]
      $3: scratch f32[zero, unit]
      %0: f64 = load $0
      %1: f64 = mul %0, %0
      %2: f32 = cast %0
      %3: f64 = reduce.sum %0
      stage
      %4: f64 = load $2
      %5: f32 = load $3
      %6: f64 = cast %5
      %7: f64 = fma %6, %3, %4
      %8: f64 = reduce.sum %7
      store $2, %1
      store $3, %2
      store $1, %8
    }";
    for engine in [Engine::Cranelift, Engine::LoopInterp] {
        let options = PrepareOptions { engine, ..PrepareOptions::default() };
        let mut exe = Executable::prepare(&func, &[], &options).unwrap();
        exe.plan.kernels = vec![Arc::new(staged.parse().unwrap())];
        if engine == Engine::Cranelift {
            exe.code = Code::Compiled(compile(&exe.plan, &options).unwrap());
        }
        exe.id = IDS.fetch_add(1, Ordering::Relaxed);
        for width in [3usize, 70, 1, 0] {
            let x = ndarray::Array2::from_shape_fn((4, width), |(i, j)| (i + j) as f64);
            let want = x.map_axis(ndarray::Axis(1), |row| row.sum() * row.sum() + row.dot(&row));
            let check = || {
                let found = exe.call(&[x.as_view()]).unwrap();
                assert_eq!(found[0].to_vec::<f64>().unwrap(), want.to_vec());
            };
            check();
            std::thread::scope(|s| (0..2).for_each(|_| drop(s.spawn(check))));
        }
    }
}
