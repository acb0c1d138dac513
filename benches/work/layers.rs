//! What is done around a matrix product, next to the product alone and to kernels that run one after another.

use crate::Bench;
use matex_lang::Limits;
use matex_lang::unit::{ArgSpec, Unit};
use matex_passes::Options;
use matex_runtime::{AsView, AsViewMut, Executable, PrepareOptions, Tensor, View};

/// Layers, and the shapes of their arguments. The product alone comes first.
const LAYERS: &[(&str, &str, &[&[usize]])] = &[
    ("512 x 512 x 512", "relu(x @ w + b)", &[&[512, 512], &[512, 512], &[512]]),
    ("512 x 512 x 512", "gelu(x @ w + b)", &[&[512, 512], &[512, 512], &[512]]),
    ("8192 x 128 x 128", "relu(x @ w + b)", &[&[8192, 128], &[128, 128], &[128]]),
    ("8192 x 128 x 128", "tanh(x @ w + b)", &[&[8192, 128], &[128, 128], &[128]]),
    ("8192 x 64 x 256", "softmax(x @ w + b, axis=1)", &[&[8192, 64], &[64, 256], &[256]]),
    ("8192 x 128 x 128", "relu(x * 2) @ w + b", &[&[8192, 128], &[128, 128], &[128]]),
];

/// Numbers of a layer, none of them special.
fn fill(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let data = (0..count).map(|i| ((i * 7919) % 1013) as f32 / 512.0 - 1.0).collect();
    Tensor::from_vec(shape, data).unwrap()
}

fn prepare(source: &str, args: &[View<'_>], fuse: bool) -> Executable {
    let spec = |v: &View<'_>| Some(ArgSpec { dtype: v.dtype(), ones: vec![false; v.rank()], weak: false });
    let unit = Unit::new(source, None, &Limits::default()).unwrap();
    let func = unit.specialize(&args.iter().map(spec).collect::<Vec<_>>()).unwrap();
    let passes = Options { fuse, ..Options::default() };
    // The process is pinned to one processor.
    let options = PrepareOptions { passes, threads: 1, ..PrepareOptions::default() };
    Executable::prepare(&func, &[], &options).unwrap()
}

pub(crate) fn all(bench: &Bench) {
    for (size, layer, shapes) in LAYERS {
        let small = |shape: &&[usize]| if bench.real { shape.to_vec() } else { vec![8; shape.len()] };
        let shapes: Vec<Vec<usize>> = shapes.iter().map(small).collect();
        let args: Vec<Tensor> = shapes.iter().map(|s| fill(s)).collect();
        let views: Vec<View<'_>> = args.iter().map(|t| t.as_view()).collect();
        let head = "fn f(x: f32[n, k], w: f32[k, m], b: f32[m])";
        let whole = format!("{head} {{ {layer} }}");
        let alone = prepare("fn f(x: f32[n, k], w: f32[k, m]) { x @ w }", &views[..2], true);
        let (joined, apart) = (prepare(&whole, &views, true), prepare(&whole, &views, false));
        let mut out = ndarray::Array2::<f32>::zeros((shapes[0][0], shapes[1][1]));
        let place = std::cell::RefCell::new(&mut out);
        let call = |exe: &Executable, args: &[View<'_>]| {
            exe.call_into(args, &mut [place.borrow_mut().as_view_mut().unwrap()]).unwrap();
        };
        let times =
            bench.times(&mut [&mut || call(&alone, &views[..2]), &mut || call(&joined, &views), &mut || {
                call(&apart, &views)
            }]);
        let figures = [
            ("product", times[0] / 1e3),
            ("joined", times[1] / 1e3),
            ("apart", times[2] / 1e3),
            ("joined / product", times[1] / times[0]),
        ];
        bench.line("layers", &format!("{layer}, {size} f32"), &figures);
    }
}
