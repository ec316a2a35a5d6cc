//! Capabilities and users.

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// `nobody` and `nogroup`, who own nothing (the kernel's overflow IDs).
const NOBODY: u32 = 65534;

/// Keeps of what the calling thread has no more than `kept`, and closes the ways to have more again.
///
/// # Errors
/// What the kernel refused.
pub(super) fn keep(kept: CapabilitySet) -> Result<(), String> {
    narrow(kept, kept)
}

/// The same; what it starts has no more than `ceiling`.
fn narrow(kept: CapabilitySet, ceiling: CapabilitySet) -> Result<(), String> {
    let refused = |what: &'static str| move |error| format!("{what}: {error}");
    set_no_new_privs(true).map_err(refused("no new privileges"))?;
    clear_ambient_capability_set().map_err(refused("ambient capabilities"))?;
    let have = capabilities(None).map_err(refused("capabilities"))?;
    // It takes a capability to limit them. Where somebody took that from us nothing comes back either: no program that is
    // started may have more than whoever starts it (`no_new_privs` in security/commoncap.c).
    if have.effective.contains(CapabilitySet::SETPCAP) {
        for one in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
            // An error: this kernel has no such capability.
            if !ceiling.contains(one) && capability_is_in_bounding_set(one) == Ok(true) {
                remove_capability_from_bounding_set(one).map_err(refused("bounding set"))?;
            }
        }
    }
    let left = kept & have.permitted;
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(refused("capabilities"))
}

/// Makes the whole process one of `nobody`, without groups. Whoever may not stays who he is.
///
/// # Errors
/// It takes `CAP_SETUID` and `CAP_SETGID`.
pub fn become_nobody() -> Result<(), String> {
    // Whoever is nobody cannot limit himself any more.
    narrow(CapabilitySet::SETUID | CapabilitySet::SETGID, CapabilitySet::empty())?;
    let refused = |what: &'static str| move |error| format!("{what}: {error}");
    setgroups(&[]).map_err(refused("groups"))?;
    setgid(Gid::from_raw(NOBODY)).map_err(refused("group"))?;
    setuid(Uid::from_raw(NOBODY)).map_err(refused("user"))
}
