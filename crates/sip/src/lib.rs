//! SIP as it crosses the wire (RFC 3261): what a firewall has to understand of it, and nothing that it would have to trust.
//!
//! ```text
//! bytes ─► payload::classify ─► View      start line and header slots: finds and bounds; where the signs are
//!              keep-alive          └────► Message   From, To, Via, CSeq, credentials: interprets
//!                                                   plain ones from sign to sign, all others by their rules
//! TCP segments ─► stream::Framer ─► bytes of one message
//! ```
//!
//! Reading is lax: what was understood is kept, and what was wrong is one bit of [`Anomalies`] each, with a name from the RFC.
//! Nothing here allocates (the [`stream::Framer`] excepted, which has a bound), panics, or takes more than linear time.
#![forbid(unsafe_code)]

pub mod anomaly;
pub mod auth;
pub mod fuzzing;
pub mod header;
pub mod message;
pub mod method;
pub mod name_addr;
mod names;
mod number;
pub mod payload;
mod plain;
mod scan;
pub mod sdp;
mod signs;
mod start_line;
pub mod stream;
mod text;
pub mod uri;
pub mod via;
pub mod view;

pub use anomaly::{Anomalies, Anomaly, Severity};
pub use auth::{Challenge, Credentials};
pub use header::HeaderName;
pub use message::Message;
pub use method::Method;
pub use name_addr::NameAddr;
pub use start_line::{NotSip, StartLine};
pub use text::{Params, trim};
pub use uri::{Scheme, Uri};
pub use via::Via;
pub use view::{Carrier, Header, View};

/// Where SIP without TLS listens, if nothing else is said (RFC 3261 section 19.1.2).
pub const PORT: u16 = 5060;

/// Bytes of the longest message that is read, start line to body: what a UDP datagram can hold.
pub const MAX_MESSAGE: usize = 65_535;
