//! What is wrong with a packet.

/// A packet that is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("chunk type {kind:#04x} claims {claimed} bytes, where {room} are left")]
    ChunkLength { kind: u16, claimed: usize, room: usize },
    #[error("chunk type {kind:#04x} has a value of {length} bytes")]
    ChunkSize { kind: u16, length: usize },
    #[error("chunk type {kind:#04x} is there twice")]
    ChunkTwice { kind: u16 },
    #[error("the compressed payload cannot be inflated")]
    Inflate,
    #[error("the compressed payload is longer than {} bytes", crate::MAX_INFLATED)]
    Inflated,
    #[error("the packet claims {claimed} bytes and has {length}")]
    Length { claimed: usize, length: usize },
    #[error("addresses of both families, or of one end only")]
    MixedFamilies,
    #[error("this is no HEP packet")]
    NotHep,
    #[error(
        "this is HEP version {0}; only version 3 is understood, so set the sender to it (`hep_version = 3`)"
    )]
    OldVersion(u8),
    #[error("the packet is longer than its length can say")]
    TooLong,
}
