//! The system calls that are left to a role. Everything else fails with "operation not permitted", but what only an intruder asks
//! for, which ends the process.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::Role;
use super::calls::{self, Group};

/// Rules of one call: it is allowed if all conditions of one of them hold. Without a rule it is always allowed.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// What may be asked of a descriptor: whether it is a terminal and how wide, how much waits, not to block, to be closed in programs
/// that are started; of a socket, what an interface is called (`TCGETS`, `TIOCGWINSZ`, `FIONREAD`, `FIONBIO`, `FIOCLEX`, `SIOCGIFNAME`,
/// `SIOCGIFINDEX` of ioctl_list(2), the same numbers on both).
const REQUESTS: [u64; 7] = [0x5401, 0x5413, 0x541b, 0x5421, 0x5451, 0x8910, 0x8933];

/// Builds the wall around the calling thread.
pub(super) fn install(role: Role) -> Result<(), String> {
    let failed = |error: Error| format!("system calls: {error}");
    // The last one refuses to install another.
    for program in programs(role).map_err(failed)? {
        seccompiler::apply_filter(&program).map_err(failed)?;
    }
    Ok(())
}

fn programs(role: Role) -> Result<Vec<BpfProgram>, Error> {
    let refused = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let exceptions = [(calls::UNKNOWN, refused(libc::ENOSYS)), (calls::FATAL, SeccompAction::KillProcess)];
    let programs = exceptions
        .into_iter()
        .map(|(group, action)| compile(always(&[group]), SeccompAction::Allow, action))
        .chain([compile(allowed(role)?, refused(libc::EPERM), SeccompAction::Allow)]);
    programs.collect()
}

fn compile(rules: Rules, otherwise: SeccompAction, then: SeccompAction) -> Result<BpfProgram, Error> {
    Ok(SeccompFilter::new(rules, otherwise, then, ARCHITECTURE)?.try_into()?)
}

fn allowed(role: Role) -> Result<Rules, Error> {
    use calls::{
        BPF, DESCRIPTORS, EVENTS, LISTENING, MEMORY, PROGRAMS, READING, SOCKETS, THREADS, TIME, WALLS,
        WRITING,
    };
    const BASE: [Group; 5] = [DESCRIPTORS, MEMORY, THREADS, TIME, EVENTS];
    let (groups, families): (&[Group], &[i32]) = match role {
        Role::Daemon | Role::Ledger | Role::Sever => (
            &[READING, WRITING, SOCKETS, LISTENING, PROGRAMS, BPF],
            &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        ),
        // Which interface has an address.
        Role::Sessions => (&[READING, SOCKETS], &[libc::AF_NETLINK]),
        // Those that it starts narrow themselves.
        Role::Fetchers => (
            &[READING, SOCKETS, PROGRAMS, WALLS],
            &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        ),
        // No AF_UNIX: where it is still root, services believe it to be that. Names are then asked of the DNS.
        Role::Fetch => (&[READING, SOCKETS], &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]),
    };
    let mut rules = always(&BASE);
    rules.extend(always(groups));
    // The strictest filter decides: of these another one says that there are none.
    rules.extend(always(&[calls::UNKNOWN]));
    sockets(&mut rules, families)?;
    memory(&mut rules)?;
    // New namespaces are new ways into the kernel. `clone` makes threads, and processes that run programs.
    let new = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_PTRACE;
    let mut cloned = vec![without(0, new)?];
    if !matches!(role, Role::Daemon | Role::Fetchers | Role::Ledger | Role::Sever) {
        cloned.push(with(0, libc::CLONE_THREAD)?);
    }
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(cloned)?]);
    // Limits may be asked for, not set; those that are started by this one begin with that.
    let asked = vec![SeccompRule::new(vec![equal(2, Width::Qword, 0)?])?];
    rules.insert(libc::SYS_prlimit64, if role == Role::Fetchers { Vec::new() } else { asked });
    one_of(&mut rules, libc::SYS_ioctl, 1, &REQUESTS)?;
    let mut options = vec![
        libc::PR_SET_NAME,
        libc::PR_GET_NAME,
        libc::PR_SET_PDEATHSIG,
        libc::PR_GET_DUMPABLE,
        libc::PR_SET_DUMPABLE,
        libc::PR_CAPBSET_READ,
        libc::PR_GET_SECCOMP,
        libc::PR_GET_NO_NEW_PRIVS,
        libc::PR_SET_NO_NEW_PRIVS,
        libc::PR_SET_VMA,
    ];
    if role == Role::Fetchers {
        options.extend([libc::PR_CAP_AMBIENT, libc::PR_CAPBSET_DROP]);
    }
    let options: Vec<u64> = options.into_iter().map(|option| u64::from(option.unsigned_abs())).collect();
    one_of(&mut rules, libc::SYS_prctl, 0, &options)?;
    Ok(rules)
}

fn always(groups: &[Group]) -> Rules {
    let calls = groups.iter().flat_map(|group| group.iter()).flat_map(|calls| calls.iter());
    calls.map(|call| (*call, Vec::new())).collect()
}

/// Sockets of these families; of the internet's, none that carry what others sent.
fn sockets(rules: &mut Rules, families: &[i32]) -> Result<(), Error> {
    /// What stands beside the type: `SOCK_NONBLOCK`, `SOCK_CLOEXEC`.
    const TYPE: u64 = 0xf;
    let mut allowed = Vec::new();
    for family in families {
        let family_is = || equal(0, Width::Dword, u64::from(family.unsigned_abs()));
        if matches!(*family, libc::AF_INET | libc::AF_INET6) {
            for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                let kind = u64::from(kind.unsigned_abs());
                let kind_is = SeccompCondition::new(1, Width::Dword, Op::MaskedEq(TYPE), kind)?;
                allowed.push(SeccompRule::new(vec![family_is()?, kind_is])?);
            }
        } else {
            allowed.push(SeccompRule::new(vec![family_is()?])?);
        }
    }
    rules.insert(libc::SYS_socket, allowed);
    Ok(())
}

/// Nothing that can be written can be run.
fn memory(rules: &mut Rules) -> Result<(), Error> {
    let either = vec![
        SeccompRule::new(vec![without(2, libc::PROT_EXEC)?])?,
        SeccompRule::new(vec![without(2, libc::PROT_WRITE)?])?,
    ];
    rules.insert(libc::SYS_mmap, either);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![without(2, libc::PROT_EXEC)?])?]);
    Ok(())
}

fn one_of(rules: &mut Rules, call: c_long, argument: u8, values: &[u64]) -> Result<(), Error> {
    let allowed =
        values.iter().map(|value| Ok(SeccompRule::new(vec![equal(argument, Width::Dword, *value)?])?));
    rules.insert(call, allowed.collect::<Result<_, Error>>()?);
    Ok(())
}

fn equal(argument: u8, width: Width, value: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, width, Op::Eq, value)?)
}

/// None of these bits.
fn without(argument: u8, bits: i32) -> Result<SeccompCondition, Error> {
    let bits = u64::from(bits.cast_unsigned());
    Ok(SeccompCondition::new(argument, Width::Qword, Op::MaskedEq(bits), 0)?)
}

/// All of these bits.
fn with(argument: u8, bits: i32) -> Result<SeccompCondition, Error> {
    let bits = u64::from(bits.cast_unsigned());
    Ok(SeccompCondition::new(argument, Width::Qword, Op::MaskedEq(bits), bits)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 6] =
        [Role::Daemon, Role::Ledger, Role::Sever, Role::Sessions, Role::Fetchers, Role::Fetch];

    #[test]
    fn every_role_has_a_filter() {
        for role in ROLES {
            assert_eq!(programs(role).unwrap().len(), 3, "{role:?}");
        }
    }

    #[test]
    fn what_is_fatal_is_allowed_to_nobody() {
        for role in ROLES {
            let rules = allowed(role).unwrap();
            for call in always(&[calls::FATAL]).keys() {
                assert!(!rules.contains_key(call), "{role:?}: {call}");
            }
        }
        for call in [libc::SYS_mount, libc::SYS_unshare, libc::SYS_setns, libc::SYS_io_uring_setup] {
            assert!(!allowed(Role::Daemon).unwrap().contains_key(&call), "{call}");
        }
        assert!(!allowed(Role::Fetch).unwrap().contains_key(&libc::SYS_execve));
    }
}
