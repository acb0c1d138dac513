//! Transposes of matrices, by square tiles whose rows and columns both lie in whole cache lines or nearly so.

/// Rows and columns of a tile: a cache line of f64.
const TILE: usize = 8;

/// `to` becomes the transpose of the row-major `from` with that many columns.
pub(crate) fn transpose<T: Copy>(from: &[T], cols: usize, to: &mut [T]) {
    let rows = from.len().checked_div(cols).unwrap_or(0);
    for top in (0..rows).step_by(TILE) {
        let height = TILE.min(rows - top);
        for left in (0..cols).step_by(TILE) {
            let width = TILE.min(cols - left);
            if height == TILE && width == TILE {
                store(&flip(load(from, cols, top, left)), to, rows, left, top);
            } else {
                for j in left..left + width {
                    (top..top + height).for_each(|i| to[j * rows + i] = from[i * cols + j]);
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

/// The lower triangle of the row-major `from` of order `n` by columns. What is in the upper one of `to` is unspecified.
pub(crate) fn lower_by_columns<T: Copy>(from: &[T], n: usize, to: &mut [T]) {
    let whole = n - n % TILE;
    for top in (0..whole).step_by(TILE) {
        for left in (0..=top).step_by(TILE) {
            store(&flip(load(from, n, top, left)), to, n, left, top);
        }
    }
    for i in whole..n {
        (0..=i).for_each(|j| to[j * n + i] = from[i * n + j]);
    }
}

/// The lower triangle by rows of what is one by columns, in place, with `zero` above it.
pub(crate) fn lower_by_rows<T: Copy>(m: &mut [T], n: usize, zero: T) {
    let whole = n - n % TILE;
    for top in (0..whole).step_by(TILE) {
        for left in (0..=top).step_by(TILE) {
            store(&flip(load(m, n, left, top)), m, n, top, left);
        }
    }
    for i in whole..n {
        (0..i).for_each(|j| m[i * n + j] = m[j * n + i]);
    }
    m.chunks_exact_mut(n.max(1)).enumerate().for_each(|(i, row)| row[i + 1..].fill(zero));
}

type Tile<T> = [[T; TILE]; TILE];

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

#[inline(always)]
fn flip<T: Copy>(tile: Tile<T>) -> Tile<T> {
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
            let from: Vec<usize> = (0..rows * cols).collect();
            let mut to = vec![0; rows * cols];
            transpose(&from, cols, &mut to);
            for i in 0..rows {
                for j in 0..cols {
                    assert_eq!(to[j * rows + i], i * cols + j);
                }
            }
        }
    }

    #[test]
    fn triangles_are_turned() {
        for n in [0, 1, 7, 8, 9, 16, 29, 40] {
            let from: Vec<usize> = (1..=n * n).collect();
            let mut m = vec![0; n * n];
            lower_by_columns(&from, n, &mut m);
            let lower = |i: usize, j: usize| if j <= i { i * n + j + 1 } else { 0 };
            assert!((0..n * n).all(|k| k / n > k % n || m[k] == lower(k % n, k / n)), "{n}");
            lower_by_rows(&mut m, n, 0);
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
