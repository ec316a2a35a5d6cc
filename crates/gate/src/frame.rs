//! Read access to the bytes of one frame.

use crate::flow::PIECE;

/// No header that the gate reads starts beyond this offset; the kernel's verifier wants such a bound (its own is
/// 65,535, `MAX_PACKET_OFF` in `kernel/bpf/verifier.c`).
pub const MAX_OFFSET: usize = 4096;

/// Bytes that the automaton takes at once.
pub const CHUNK: usize = 32;

/// Room for a chunk. Aligned, because the kernel's verifier wants wide accesses to the stack to be.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chunk(pub [u8; CHUNK]);

impl Chunk {
    /// All zeros.
    pub const EMPTY: Self = Self([0; CHUNK]);
}

/// Bytes that the filter takes at once.
pub const BLOCK_BYTES: u32 = 64;

/// What the filter takes at once: eight little-endian words.
pub type Block = [[u8; 8]; 8];

/// Room for a block that cannot be read where it lies. Aligned, because the kernel's verifier wants wide loads from the
/// stack to be.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Copied(pub Block);

impl Copied {
    /// All zeros.
    pub const EMPTY: Self = Self([[0; 8]; 8]);
}

/// A frame that can be read in small pieces.
///
/// In the kernel one read is one bounds check against `data_end`; in user space it is a slice access.
pub trait Frame {
    /// Whether TCP connections are followed where the frame was taken. Past reassembly they are not: they were before.
    const FOLLOWED: bool = true;

    /// Bytes from the start of the link header to the end of the frame.
    fn len(&self) -> usize;

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the frame has at least `length` bytes. Cheaper than [`Frame::len`] where the frame lies in one piece.
    #[inline(always)]
    fn has(&self, length: usize) -> bool {
        self.len() >= length
    }

    /// `N` bytes at `offset`, or `None` if the frame ends before or `offset` is beyond [`MAX_OFFSET`].
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Copies `count` bytes at `offset`, 1 to [`CHUNK`], to the beginning of `to`; `false` if the frame ends before.
    fn chunk(&self, offset: u32, count: u32, to: &mut Chunk) -> bool;

    /// `count` bytes at `offset`, filled up with zeros; in the frame itself or in `copied`.
    /// `None` if the frame ends before or `count` is not 1 to [`BLOCK_BYTES`].
    fn block<'a>(&'a self, offset: u32, count: u32, copy: &'a mut Copied) -> Option<&'a Block>;

    /// `N` bytes where they lie; `None` if the frame ends before, or has them where they cannot be read directly.
    fn direct<const N: usize>(&self, offset: u32) -> Option<&[u8; N]>;

    /// Copies `count` bytes at `offset`, 1 to [`PIECE`], to the beginning of `to`; `false` if the frame ends before.
    fn copy_to(&self, offset: u32, count: u32, to: &mut [u8; PIECE]) -> bool;

    /// Hides a number from the compiler's optimizer, where it would unroll a loop to the kernel's disadvantage.
    #[inline(always)]
    fn hide(&self, number: usize) -> usize {
        number
    }

    /// The byte at `offset`.
    #[inline(always)]
    fn byte(&self, offset: usize) -> Option<u8> {
        self.read::<1>(offset).map(|[byte]| byte)
    }

    /// The big-endian number at `offset`.
    #[inline(always)]
    fn u16(&self, offset: usize) -> Option<u16> {
        self.read::<2>(offset).map(u16::from_be_bytes)
    }
}

impl Frame for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        self.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    fn chunk(&self, offset: u32, count: u32, to: &mut Chunk) -> bool {
        copy(self, offset, count, &mut to.0).is_some()
    }

    fn block<'a>(&'a self, offset: u32, count: u32, copied: &'a mut Copied) -> Option<&'a Block> {
        *copied = Copied::EMPTY;
        copy(self, offset, count, copied.0.as_flattened_mut())?;
        Some(&copied.0)
    }

    fn direct<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        self.get(offset as usize..)?.first_chunk()
    }

    fn copy_to(&self, offset: u32, count: u32, to: &mut [u8; PIECE]) -> bool {
        copy(self, offset, count, to).is_some()
    }
}

/// Copies `count` bytes to the beginning of `to`.
fn copy(frame: &[u8], offset: u32, count: u32, to: &mut [u8]) -> Option<()> {
    let (offset, count) = (offset as usize, count as usize);
    to.get_mut(..count)?.copy_from_slice(frame.get(offset..offset.checked_add(count)?)?);
    (count > 0).then_some(())
}
