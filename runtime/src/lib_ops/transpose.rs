//! Transposes of matrices, by square tiles whose rows and columns both lie in whole cache lines or nearly so.

/// Rows and columns of a tile: a cache line of f64.
const TILE: usize = 8;

/// `to` becomes the transpose of the row-major `from` with that many columns.
pub(crate) fn transpose<T: Copy>(from: &[T], cols: usize, to: &mut [T]) {
    transpose_to(from, cols, to, from.len().checked_div(cols).unwrap_or(0));
}

/// [`transpose`] to rows that begin `stride` elements apart, which is no less than they have. What is between them is left alone.
pub(crate) fn transpose_to<T: Copy>(from: &[T], cols: usize, to: &mut [T], stride: usize) {
    let rows = from.len().checked_div(cols).unwrap_or(0);
    for top in (0..rows).step_by(TILE) {
        let height = TILE.min(rows - top);
        for left in (0..cols).step_by(TILE) {
            let width = TILE.min(cols - left);
            if height == TILE && width == TILE {
                store(&flip(load(from, cols, top, left)), to, stride, left, top);
            } else {
                for j in left..left + width {
                    (top..top + height).for_each(|i| to[j * stride + i] = from[i * cols + j]);
                }
            }
        }
    }
}

/// The transpose of a square matrix of order `n`, in place.
pub(crate) fn transpose_square<T: Copy>(m: &mut [T], n: usize) {
    let whole = n - n % TILE;
    for top in (0..whole).step_by(TILE) {
        for left in (0..top).step_by(TILE) {
            let (below, above) = (flip(load(m, n, top, left)), flip(load(m, n, left, top)));
            store(&above, m, n, top, left);
            store(&below, m, n, left, top);
        }
        store(&flip(load(m, n, top, top)), m, n, top, top);
    }
    for i in whole..n {
        (0..i).for_each(|j| m.swap(i * n + j, j * n + i));
    }
}

/// What is above the diagonal of a matrix of order `n` becomes what is below it.
pub(crate) fn mirror_lower<T: Copy>(m: &mut [T], n: usize) {
    for (top, left, whole) in lower_tiles(n, n) {
        if whole && left < top {
            store(&flip(load(m, n, top, left)), m, n, left, top);
            continue;
        }
        for i in top..n.min(top + TILE) {
            (left..i.min(left + TILE)).for_each(|j| m[j * n + i] = m[i * n + j]);
        }
    }
}

/// The rows and columns of a part of a row-major matrix whose rows are `stride` elements apart.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

/// On and below its diagonal, each column of `from` becomes a row of `to`, which are `length` elements apart. What stands before
/// the diagonal in a row is unspecified.
pub(crate) fn turn_lower<T: Copy>(from: &[T], size: Extent, to: &mut [T], length: usize) {
    let Extent { stride, rows, cols } = size;
    for (top, left, whole) in lower_tiles(rows, cols) {
        if whole {
            store(&flip(load(from, stride, top, left)), to, length, left, top);
            continue;
        }
        for i in top..rows.min(top + TILE) {
            (left..cols.min(left + TILE)).for_each(|j| to[j * length + i] = from[i * stride + j]);
        }
    }
}

/// What [`turn_lower`] did, back again; nothing is written above the diagonal.
pub(crate) fn turn_upper<T: Copy>(from: &[T], length: usize, to: &mut [T], size: Extent) {
    let Extent { stride, rows, cols } = size;
    for (top, left, whole) in lower_tiles(rows, cols) {
        if whole && left < top {
            store(&flip(load(from, length, left, top)), to, stride, top, left);
            continue;
        }
        for i in top..rows.min(top + TILE) {
            let end = cols.min(left + TILE).min(i + 1);
            (left..end).for_each(|j| to[i * stride + j] = from[j * length + i]);
        }
    }
}

/// The row and column at which each tile of a lower triangle begins, and whether all of it is in the matrix.
fn lower_tiles(rows: usize, cols: usize) -> impl Iterator<Item = (usize, usize, bool)> {
    (0..rows).step_by(TILE).flat_map(move |top| {
        let lefts = (0..cols.min(top + 1)).step_by(TILE);
        lefts.map(move |left| (top, left, top + TILE <= rows && left + TILE <= cols))
    })
}

pub(crate) type Tile<T> = [[T; TILE]; TILE];

/// The tile at a row and column of a matrix with that many columns, all of which it has.
#[inline(always)]
fn load<T: Copy>(m: &[T], cols: usize, row: usize, col: usize) -> Tile<T> {
    let mut tile = [[m[row * cols + col]; TILE]; TILE];
    for (i, to) in tile.iter_mut().enumerate() {
        let place = (row + i) * cols + col;
        to.copy_from_slice(&m[place..place + TILE]);
    }
    tile
}

/// The transpose.
#[inline(always)]
pub(crate) fn flip<T: Copy>(tile: Tile<T>) -> Tile<T> {
    let mut to = tile;
    for i in 0..TILE {
        for j in 0..TILE {
            to[j][i] = tile[i][j];
        }
    }
    to
}

#[inline(always)]
fn store<T: Copy>(tile: &Tile<T>, m: &mut [T], cols: usize, row: usize, col: usize) {
    for (i, from) in tile.iter().enumerate() {
        let place = (row + i) * cols + col;
        m[place..place + TILE].copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_is_one() {
        for (rows, cols) in [(1, 1), (3, 40), (33, 17), (16, 16), (8, 24), (0, 3), (3, 0)] {
            let from: Vec<usize> = (1..=rows * cols).collect();
            let stride = rows + 3;
            let (mut to, mut apart) = (vec![0; rows * cols], vec![0; stride * cols]);
            transpose(&from, cols, &mut to);
            transpose_to(&from, cols, &mut apart, stride);
            for (i, j) in (0..stride).flat_map(|i| (0..cols).map(move |j| (i, j))) {
                let want = if i < rows { from[i * cols + j] } else { 0 };
                assert!(apart[j * stride + i] == want && (i >= rows || to[j * rows + i] == want));
            }
        }
    }

    #[test]
    fn triangles_are_turned() {
        for (rows, cols) in [(0, 0), (1, 1), (7, 7), (8, 8), (9, 9), (16, 5), (29, 29), (40, 16), (41, 17)] {
            let (stride, length) = (cols + 3, rows + 5);
            let from: Vec<usize> = (1..=rows * stride).collect();
            let (mut turned, mut back) = (vec![0; cols * length], vec![0; rows * stride]);
            turn_lower(&from, Extent { stride, rows, cols }, &mut turned, length);
            for (i, j) in (0..rows).flat_map(|i| (0..cols.min(i + 1)).map(move |j| (i, j))) {
                assert_eq!(turned[j * length + i], from[i * stride + j], "{i} {j} of {rows} x {cols}");
            }
            turn_upper(&turned, length, &mut back, Extent { stride, rows, cols });
            for (k, e) in back.iter().enumerate() {
                let (i, j) = (k / stride, k % stride);
                assert_eq!(*e, if j <= i && j < cols { from[k] } else { 0 }, "{i} {j} of {rows} x {cols}");
            }
        }
    }

    #[test]
    fn a_mirror_image_is_symmetric() {
        for n in [0, 1, 7, 8, 9, 16, 29, 40] {
            let mut m: Vec<usize> = (0..n * n).collect();
            mirror_lower(&mut m, n);
            let lower = |i: usize, j: usize| i.max(j) * n + i.min(j);
            assert!((0..n * n).all(|k| m[k] == lower(k / n, k % n)), "{n}");
        }
    }

    #[test]
    fn so_is_one_in_place() {
        for n in [0, 1, 7, 8, 9, 16, 29, 40] {
            let mut m: Vec<usize> = (0..n * n).collect();
            transpose_square(&mut m, n);
            assert!((0..n * n).all(|k| m[k] == (k % n) * n + k / n), "{n}");
        }
    }
}
