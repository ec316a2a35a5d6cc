//! One view of the two kinds of packet context.

use aya_ebpf::helpers::generated::{
    bpf_fib_lookup, bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{SkBuffContext, TcContext, XdpContext};
use aya_ebpf::{EbpfContext, bindings::bpf_fib_lookup as FibLookup};
use gate::Frame;
use gate::frame::{CHUNK, MAX_OFFSET};

/// `BPF_FIB_LKUP_RET_NOT_FWDED` in include/uapi/linux/bpf.h.
const NOT_FORWARDED: i64 = 4;

/// Room for Ethernet, two VLAN tags, IPv4 options or a usual chain of IPv6 extension headers, and TCP.
const HEADERS: u32 = 256;

/// Direct pointers are used up to here; with a chunk behind it this stays below the verifier's `MAX_PACKET_OFF`.
const DIRECT: u32 = 0xff00;

/// A packet in the hands of a hook.
pub trait Context: Frame {
    /// Start of the bytes that can be read directly.
    fn data(&self) -> usize;
    /// End of the bytes that can be read directly.
    fn data_end(&self) -> usize;
    /// Bytes of the whole frame, parts in further pages included.
    fn total_len(&self) -> usize;
    /// Index of the interface that it arrived on.
    fn interface(&self) -> u32;
    /// Copies bytes at `offset` wherever they are; `false` if the frame does not have them.
    fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool;
    /// `bpf_fib_lookup`: what routing would do with the packet. Negative for an error.
    fn route(&self, lookup: &mut FibLookup) -> i64;
}

/// The context of an XDP program.
pub struct Xdp(pub XdpContext);

/// The context of a TC classifier.
pub struct Tc(pub TcContext);

/// The context of a cgroup's ingress program; it begins with the network header.
pub struct Cgroup(pub SkBuffContext);

impl Cgroup {
    /// The packet's mark.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        // SAFETY: the kernel gave us a valid `__sk_buff`; the field is readable for this program type.
        unsafe { (*self.0.skb.skb).mark }
    }
}

impl Tc {
    /// Makes all headers that the gate reads directly readable; they may lie in further pages of the buffer.
    #[inline(always)]
    pub fn new(ctx: TcContext) -> Self {
        let wanted = ctx.len().min(HEADERS);
        if ((ctx.data_end() - ctx.data()) as u32) < wanted {
            // A failure (no memory) leaves a frame that reads as truncated, which passes.
            let _ = ctx.pull_data(wanted);
        }
        Self(ctx)
    }
}

/// Hides from the compiler where a packet pointer came from. Without it LLVM compares packet pointers in 32 bits (the
/// context's fields are that wide) or computes them anew after the check; the verifier accepts neither.
#[inline(always)]
pub fn opaque(pointer: usize) -> usize {
    let mut pointer = pointer;
    // SAFETY: the instruction moves a register onto itself; no memory, stack or flag is touched.
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) pointer, options(pure, nomem, nostack));
    }
    pointer
}

/// Reads through the direct pointers, with the bounds check in the form that the verifier knows.
#[inline(always)]
fn read<const N: usize>(data: usize, data_end: usize, offset: usize) -> Option<[u8; N]> {
    if offset > MAX_OFFSET {
        return None;
    }
    let start = opaque(data + offset);
    if start + N > data_end {
        return None;
    }
    // SAFETY: `start .. start + N` was just checked to lie between the packet's `data` and `data_end`, which the kernel
    // keeps readable while the program runs. A byte array has no alignment.
    Some(unsafe { *(start as *const [u8; N]) })
}

/// One chunk, directly where it can be, else by copy: the end of the datagram, or bytes in another page.
#[inline(always)]
fn chunk<C: Context>(ctx: &C, offset: u32, count: u32) -> Option<[u8; CHUNK]> {
    let offset = offset & 0x1ffff;
    if count == CHUNK as u32 && offset < DIRECT {
        let start = opaque(ctx.data() + offset as usize);
        if start + CHUNK <= ctx.data_end() {
            // SAFETY: the chunk was just checked to lie between `data` and `data_end`; a byte array has no alignment.
            return Some(unsafe { *(start as *const [u8; CHUNK]) });
        }
    }
    let mut bytes = [0u8; CHUNK];
    // The compiler knows that `count` is not 0 and would leave the check out; the verifier does not.
    let count = opaque(count as usize);
    if count == 0 || count > CHUNK {
        return None;
    }
    ctx.copy(offset, bytes.as_mut_ptr(), count as u32).then_some(bytes)
}

impl Frame for Xdp {
    #[inline(always)]
    fn len(&self) -> usize {
        self.total_len()
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read(self.data(), self.data_end(), offset)
    }

    #[inline(always)]
    fn chunk(&self, offset: u32, count: u32) -> Option<[u8; CHUNK]> {
        chunk(self, offset, count)
    }
}

impl Context for Xdp {
    #[inline(always)]
    fn data(&self) -> usize {
        opaque(self.0.data())
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        opaque(self.0.data_end())
    }

    #[inline(always)]
    fn total_len(&self) -> usize {
        // SAFETY: the helper only reads the context that the kernel gave us.
        unsafe { bpf_xdp_get_buff_len(self.0.ctx) as usize }
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.0.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool {
        // SAFETY: callers pass a buffer of at least `length` bytes on their own stack; the verifier checks it again.
        unsafe { bpf_xdp_load_bytes(self.0.ctx, offset, to.cast(), length) == 0 }
    }

    #[inline(always)]
    fn route(&self, lookup: &mut FibLookup) -> i64 {
        // SAFETY: `lookup` is a whole, initialised struct of the size given.
        unsafe {
            bpf_fib_lookup(self.0.as_ptr(), core::ptr::from_mut(lookup), size_of::<FibLookup>() as i32, 0)
        }
    }
}

impl Frame for Tc {
    #[inline(always)]
    fn len(&self) -> usize {
        self.total_len()
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read(self.data(), self.data_end(), offset)
    }

    #[inline(always)]
    fn chunk(&self, offset: u32, count: u32) -> Option<[u8; CHUNK]> {
        chunk(self, offset, count)
    }
}

impl Context for Tc {
    #[inline(always)]
    fn data(&self) -> usize {
        opaque(self.0.data())
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        opaque(self.0.data_end())
    }

    #[inline(always)]
    fn total_len(&self) -> usize {
        self.0.len() as usize
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: the kernel gave us a valid `__sk_buff`; the field is readable for this program type.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool {
        // SAFETY: callers pass a buffer of at least `length` bytes on their own stack; the verifier checks it again.
        unsafe { bpf_skb_load_bytes(self.0.as_ptr(), offset, to.cast(), length) == 0 }
    }

    #[inline(always)]
    fn route(&self, lookup: &mut FibLookup) -> i64 {
        // SAFETY: `lookup` is a whole, initialised struct of the size given.
        unsafe {
            bpf_fib_lookup(self.0.as_ptr(), core::ptr::from_mut(lookup), size_of::<FibLookup>() as i32, 0)
        }
    }
}

impl Frame for Cgroup {
    #[inline(always)]
    fn len(&self) -> usize {
        self.total_len()
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read(self.data(), self.data_end(), offset)
    }

    #[inline(always)]
    fn chunk(&self, offset: u32, count: u32) -> Option<[u8; CHUNK]> {
        chunk(self, offset, count)
    }
}

impl Context for Cgroup {
    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: the kernel gave us a valid `__sk_buff`; the field is readable for this program type.
        opaque(unsafe { (*self.0.skb.skb).data } as usize)
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: as above.
        opaque(unsafe { (*self.0.skb.skb).data_end } as usize)
    }

    #[inline(always)]
    fn total_len(&self) -> usize {
        self.0.len() as usize
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool {
        // SAFETY: callers pass a buffer of at least `length` bytes on their own stack; the verifier checks it again.
        unsafe { bpf_skb_load_bytes(self.0.as_ptr(), offset, to.cast(), length) == 0 }
    }

    /// The packet is before a socket of this host; there is no route to ask for.
    #[inline(always)]
    fn route(&self, _lookup: &mut FibLookup) -> i64 {
        NOT_FORWARDED
    }
}
