//! Which types of the layout may travel between user space and the maps as bytes.
#![expect(unsafe_code, reason = "`aya::Pod` is a promise about layout; the layout's tests keep it")]

use crate::layout::{Ban, Config, Cpu, Event, Interface, Live, Outputs, Proven, Rule};

// SAFETY (all of them): `repr(C)`, `Copy`, only integers and arrays of integers inside, and no padding, which
// `layout::tests::nothing_has_padding` proves by their sizes; every bit pattern is a value.
// SAFETY: as above.
unsafe impl aya::Pod for Ban {}
// SAFETY: as above.
unsafe impl aya::Pod for Cpu {}
// SAFETY: as above.
unsafe impl aya::Pod for Config {}
// SAFETY: as above.
unsafe impl aya::Pod for Live {}
// SAFETY: as above.
unsafe impl aya::Pod for Event {}
// SAFETY: as above.
unsafe impl aya::Pod for Interface {}
// SAFETY: as above.
unsafe impl aya::Pod for Outputs {}
// SAFETY: as above.
unsafe impl aya::Pod for Proven {}
// SAFETY: as above.
unsafe impl aya::Pod for Rule {}
