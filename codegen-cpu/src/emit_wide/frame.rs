//! The stack frame and the constants: places whose offsets are given out while code is written.

/// The bytes of a frame, from the stack pointer up.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    bytes: i32,
    /// Places of a vector each for values that had to leave their register.
    spills: Vec<i32>,
    /// How many of them are in use.
    spilled: usize,
}

impl Frame {
    /// A place for a word.
    pub(super) fn word(&mut self) -> i32 {
        self.place(8, 8)
    }

    /// A place of this size and alignment.
    pub(super) fn place(&mut self, bytes: usize, align: usize) -> i32 {
        let at = (self.bytes as usize).next_multiple_of(align);
        self.bytes = (at + bytes) as i32;
        at as i32
    }

    /// A place for a vector that left its register, until [`Frame::forget_spills`].
    pub(super) fn spill(&mut self) -> i32 {
        if self.spilled == self.spills.len() {
            let place = self.place(64, 64);
            self.spills.push(place);
        }
        self.spilled += 1;
        self.spills[self.spilled - 1]
    }

    pub(super) fn forget_spills(&mut self) {
        self.spilled = 0;
    }

    /// All of it.
    pub(super) fn size(&self) -> i32 {
        (self.bytes as usize).next_multiple_of(64) as i32
    }
}

/// Constants behind the code.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    pub(super) bytes: Vec<u8>,
    known: std::collections::HashMap<Vec<u8>, i32>,
    /// Where the addresses of functions stand, which the linker fills in.
    pub(super) cells: Vec<(&'static str, i32)>,
}

impl Pool {
    /// The offset of these bytes, which are aligned to their length.
    pub(super) fn constant(&mut self, bytes: &[u8]) -> i32 {
        if let Some(at) = self.known.get(bytes) {
            return *at;
        }
        let at = self.bytes.len().next_multiple_of(bytes.len());
        self.bytes.resize(at, 0);
        self.bytes.extend(bytes);
        self.known.insert(bytes.to_vec(), at as i32);
        at as i32
    }

    /// The offset of the cell for a function's address.
    pub(super) fn cell(&mut self, symbol: &'static str) -> i32 {
        if let Some((_, at)) = self.cells.iter().find(|(s, _)| *s == symbol) {
            return *at;
        }
        let at = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(at + 8, 0);
        self.cells.push((symbol, at as i32));
        at as i32
    }
}
