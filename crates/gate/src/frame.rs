//! Read access to the bytes of one frame.

/// No header that the gate reads starts beyond this offset; the kernel's verifier wants such a bound (its own is
/// 65,535, `MAX_PACKET_OFF` in `kernel/bpf/verifier.c`).
pub const MAX_OFFSET: usize = 4096;

/// Bytes that the search for signatures reads at once.
pub const CHUNK: usize = 32;

/// A frame that can be read in small pieces.
///
/// In the kernel one read is one bounds check against `data_end`; in user space it is a slice access.
pub trait Frame {
    /// Bytes from the start of the link header to the end of the frame.
    fn len(&self) -> usize;

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `N` bytes at `offset`, or `None` if the frame ends before or `offset` is beyond [`MAX_OFFSET`].
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// `count` bytes at `offset`, filled up with zeros; `None` if the frame ends before or `count` is not 1 to [`CHUNK`].
    fn chunk(&self, offset: u32, count: u32) -> Option<[u8; CHUNK]>;

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

    fn chunk(&self, offset: u32, count: u32) -> Option<[u8; CHUNK]> {
        let (offset, count) = (offset as usize, count as usize);
        let mut bytes = [0; CHUNK];
        bytes.get_mut(..count)?.copy_from_slice(self.get(offset..offset.checked_add(count)?)?);
        Some(bytes)
    }
}
