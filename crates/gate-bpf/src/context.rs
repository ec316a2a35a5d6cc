//! One view of the two kinds of packet context.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, bpf_fib_lookup as FibLookup};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup, bpf_sk_release, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skc_lookup_tcp,
    bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::XdpContext;
use gate::flow::PIECE;
use gate::frame::{BLOCK_BYTES, Block, Chunk, Copied, MAX_OFFSET};
use gate::{Address, Family, Frame, Packet};

/// `BPF_FIB_LKUP_RET_NOT_FWDED` in include/uapi/linux/bpf.h.
const NOT_FORWARDED: i64 = 4;

/// Room for Ethernet, two VLAN tags, IPv4 options or a usual chain of IPv6 extension headers, and TCP.
const HEADERS: usize = 256;

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
    /// The same without asking the kernel, where the headers of `packet` could be read: what they and the directly
    /// readable bytes tell.
    #[inline(always)]
    fn size(&self, packet: &Packet) -> usize {
        let told = usize::from(packet.network) + usize::from(packet.length);
        told.max(self.data_end() - self.data())
    }
    /// Index of the interface that it arrived on.
    fn interface(&self) -> u32;
    /// Copies bytes at `offset` wherever they are; `false` if the frame does not have them.
    fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool;
    /// Whether a socket of this host has the connection of a TCP packet: established, or answered and about to be.
    fn has_connection(&self, packet: &Packet) -> bool;
    /// `bpf_fib_lookup`: what routing would do with the packet. Negative for an error.
    fn route(&self, lookup: &mut FibLookup) -> i64;
}

/// The context of an XDP program.
pub struct Xdp(pub XdpContext);

/// The context of a program that gets a socket buffer: a TC classifier, or (`AT_SOCKET`) a cgroup's ingress program,
/// whose packets begin with the network header and are past routing.
pub struct Skb<const AT_SOCKET: bool>(*mut __sk_buff);

impl<const AT_SOCKET: bool> Skb<AT_SOCKET> {
    #[inline(always)]
    pub fn new(skb: *mut __sk_buff) -> Self {
        Self(skb)
    }

    /// The packet's mark.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        // SAFETY: the kernel gave us a valid `__sk_buff`; the field is readable for both program types.
        unsafe { (*self.0).mark }
    }

    /// Makes all headers that the gate reads directly readable; they may lie in further pages of the buffer.
    #[inline(always)]
    pub fn pull_headers(&self) {
        let wanted = self.total_len().min(HEADERS);
        if self.data_end() - self.data() < wanted {
            // SAFETY: the helper moves bytes within the buffer; no pointer into it is held across the call. A failure
            // (no memory) leaves a frame that reads as truncated, which passes.
            unsafe { bpf_skb_pull_data(self.0, wanted as u32) };
        }
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

/// Whether the frame has `length` bytes: at a glance if they are directly readable.
#[inline(always)]
fn has<C: Context>(ctx: &C, length: usize) -> bool {
    ctx.data_end() - ctx.data() >= length || ctx.total_len() >= length
}

/// `N` bytes at a large offset, if they are directly readable.
#[inline(always)]
fn direct<C: Context, const N: usize>(ctx: &C, offset: u32) -> Option<&[u8; N]> {
    let offset = offset & 0x1ffff;
    if offset >= DIRECT {
        return None;
    }
    let start = opaque(ctx.data() + offset as usize);
    if start + N > ctx.data_end() {
        return None;
    }
    // SAFETY: the bytes were just checked to lie between `data` and `data_end`, which the kernel keeps readable while the
    // program runs; a byte array has no alignment.
    Some(unsafe { &*(start as *const [u8; N]) })
}

/// Copies `count` bytes, which is 1 to `N`, a power of two, and leaves the rest of `bytes` as it is.
#[inline(always)]
fn fill<C: Context, const N: usize>(ctx: &C, offset: u32, count: u32, bytes: &mut [u8; N]) -> bool {
    // The verifier must see the bounds, too; that of Linux 6.1 learns nothing from a comparison with 0.
    let count = (opaque((count as usize).wrapping_sub(1)) & (N - 1)) + 1;
    ctx.copy(offset, bytes.as_mut_ptr(), count as u32)
}

/// One block: a pointer into the packet where it can be, else a copy.
#[inline(always)]
fn block<'a, C: Context>(ctx: &'a C, offset: u32, count: u32, copied: &'a mut Copied) -> Option<&'a Block> {
    if count == BLOCK_BYTES
        && let Some(bytes) = direct::<C, { size_of::<Block>() }>(ctx, offset)
    {
        // SAFETY: 64 bytes are eight times eight bytes.
        return Some(unsafe { &*core::ptr::from_ref(bytes).cast::<Block>() });
    }
    *copied = Copied::EMPTY;
    let count = (opaque((count as usize).wrapping_sub(1)) & (BLOCK_BYTES as usize - 1)) + 1;
    ctx.copy(offset & 0x1ffff, copied.0.as_flattened_mut().as_mut_ptr(), count as u32).then_some(&copied.0)
}

/// `TCP_LISTEN` in include/net/tcp_states.h.
const LISTEN: u32 = 10;

/// Not inlined, so that its stack is its own.
#[inline(never)]
fn has_connection(ctx: *mut c_void, packet: &Packet) -> bool {
    /// `BPF_F_CURRENT_NETNS` in include/uapi/linux/bpf.h.
    const CURRENT_NETNS: u64 = u64::MAX;
    let mut tuple = Aligned([0u32; 9]);
    let ports = u32::from(packet.source_port.to_be()) | u32::from(packet.destination_port.to_be()) << 16;
    let length = match packet.family {
        Family::Ipv4 => {
            let [first, second, third, ..] = &mut tuple.0;
            *first = u32::from_ne_bytes(packet.source.low());
            *second = u32::from_ne_bytes(packet.destination.low());
            *third = ports;
            12
        }
        Family::Ipv6 => {
            // SAFETY: both addresses are four words inside of the nine.
            unsafe {
                put((&raw mut tuple.0).cast(), packet.source);
                put((&raw mut tuple.0).cast::<[u32; 4]>().add(1), packet.destination);
            }
            let [.., last] = &mut tuple.0;
            *last = ports;
            36
        }
    };
    // SAFETY: the tuple is initialised and as long as said; a socket that is found is given back before the end.
    unsafe {
        let socket = bpf_skc_lookup_tcp(ctx, (&raw mut tuple.0).cast(), length, CURRENT_NETNS, 0);
        if socket.is_null() {
            return false;
        }
        let state = (*socket).state;
        bpf_sk_release(socket.cast());
        state != LISTEN
    }
}

/// Writes an address as the kernel keeps it, word by word: the compiler would make two wide stores of it, and the
/// verifier wants those on the stack aligned.
///
/// # Safety
///
/// `to` must point to four writable words.
#[inline(always)]
pub unsafe fn put(to: *mut [u32; 4], address: Address) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address.0;
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]];
    let to = to.cast::<u32>();
    let mut index = 0;
    while index < 4 {
        // SAFETY: the caller vouches for four words.
        unsafe { to.add(index).write_volatile(u32::from_ne_bytes(words[index])) };
        index += 1;
    }
}

/// Bytes on the stack that are read as words: the verifier wants those aligned there.
#[repr(align(8))]
struct Aligned<T>(T);

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
    fn chunk(&self, offset: u32, count: u32, to: &mut Chunk) -> bool {
        fill(self, offset & 0x1ffff, count, &mut to.0)
    }

    #[inline(always)]
    fn has(&self, length: usize) -> bool {
        has(self, length)
    }

    #[inline(always)]
    fn block<'a>(&'a self, offset: u32, count: u32, copied: &'a mut Copied) -> Option<&'a Block> {
        block(self, offset, count, copied)
    }

    #[inline(always)]
    fn direct<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        direct(self, offset)
    }

    #[inline(always)]
    fn hide(&self, number: usize) -> usize {
        opaque(number)
    }

    #[inline(always)]
    fn copy_to(&self, offset: u32, count: u32, to: &mut [u8; PIECE]) -> bool {
        fill(self, offset & 0x1ffff, count, to)
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
    fn has_connection(&self, packet: &Packet) -> bool {
        has_connection(self.0.as_ptr(), packet)
    }

    #[inline(always)]
    fn route(&self, lookup: &mut FibLookup) -> i64 {
        // SAFETY: `lookup` is a whole, initialised struct of the size given.
        unsafe {
            bpf_fib_lookup(self.0.as_ptr(), core::ptr::from_mut(lookup), size_of::<FibLookup>() as i32, 0)
        }
    }
}

impl<const AT_SOCKET: bool> Frame for Skb<AT_SOCKET> {
    const FOLLOWED: bool = !AT_SOCKET;

    #[inline(always)]
    fn len(&self) -> usize {
        self.total_len()
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read(self.data(), self.data_end(), offset)
    }

    #[inline(always)]
    fn chunk(&self, offset: u32, count: u32, to: &mut Chunk) -> bool {
        fill(self, offset & 0x1ffff, count, &mut to.0)
    }

    #[inline(always)]
    fn has(&self, length: usize) -> bool {
        has(self, length)
    }

    #[inline(always)]
    fn block<'a>(&'a self, offset: u32, count: u32, copied: &'a mut Copied) -> Option<&'a Block> {
        block(self, offset, count, copied)
    }

    #[inline(always)]
    fn direct<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        direct(self, offset)
    }

    #[inline(always)]
    fn hide(&self, number: usize) -> usize {
        opaque(number)
    }

    #[inline(always)]
    fn copy_to(&self, offset: u32, count: u32, to: &mut [u8; PIECE]) -> bool {
        fill(self, offset & 0x1ffff, count, to)
    }
}

impl<const AT_SOCKET: bool> Context for Skb<AT_SOCKET> {
    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: the kernel gave us a valid `__sk_buff`; the field is readable for both program types.
        opaque(unsafe { (*self.0).data } as usize)
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: as above.
        opaque(unsafe { (*self.0).data_end } as usize)
    }

    #[inline(always)]
    fn total_len(&self) -> usize {
        // SAFETY: as above.
        unsafe { (*self.0).len as usize }
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).ifindex }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, to: *mut u8, length: u32) -> bool {
        // SAFETY: callers pass a buffer of at least `length` bytes on their own stack; the verifier checks it again.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset, to.cast(), length) == 0 }
    }

    #[inline(always)]
    fn has_connection(&self, packet: &Packet) -> bool {
        // At the socket there are whole datagrams only, which are not followed.
        !AT_SOCKET && has_connection(self.0.cast(), packet)
    }

    #[inline(always)]
    fn route(&self, lookup: &mut FibLookup) -> i64 {
        if AT_SOCKET {
            return NOT_FORWARDED;
        }
        // SAFETY: `lookup` is a whole, initialised struct of the size given.
        unsafe {
            bpf_fib_lookup(self.0.cast(), core::ptr::from_mut(lookup), size_of::<FibLookup>() as i32, 0)
        }
    }
}
