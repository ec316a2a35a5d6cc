//! Which system calls there are, by what they are for. Groups, not a record of one run: another C library (of Debian 12 or 13, or
//! musl) does the same with other calls.

use libc::c_long;

/// Calls of one purpose.
pub(super) type Group = &'static [&'static [c_long]];

/// Calls that only x86 has; what came later does the same.
macro_rules! old {
    ($($name:ident),* $(,)?) => {{
        #[cfg(target_arch = "x86_64")]
        const OLD: &[c_long] = &[$(libc::$name),*];
        #[cfg(not(target_arch = "x86_64"))]
        const OLD: &[c_long] = &[];
        OLD
    }};
}

/// Descriptors that are open.
pub(super) const DESCRIPTORS: Group = &[
    &[
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_preadv,
        libc::SYS_pwritev,
        libc::SYS_close,
        libc::SYS_close_range,
        libc::SYS_dup,
        libc::SYS_dup3,
        libc::SYS_pipe2,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_fstatfs,
        libc::SYS_fcntl,
        libc::SYS_flock,
        libc::SYS_sendfile,
        libc::SYS_splice,
        libc::SYS_fadvise64,
        libc::SYS_readahead,
    ],
    old![SYS_dup2, SYS_pipe],
];

/// Opening, looking, listing.
pub(super) const READING: Group = &[
    &[
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_statfs,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_getcwd,
    ],
    old![SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents],
];

/// Making, changing and removing files: which ones Landlock and their owners say.
pub(super) const WRITING: Group = &[
    &[
        libc::SYS_mkdirat,
        libc::SYS_unlinkat,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_symlinkat,
        libc::SYS_ftruncate,
        libc::SYS_fallocate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_umask,
        libc::SYS_copy_file_range,
        libc::SYS_inotify_init1,
        libc::SYS_inotify_add_watch,
        libc::SYS_inotify_rm_watch,
    ],
    old![SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename, SYS_link, SYS_symlink, SYS_chmod, SYS_inotify_init],
];

/// Memory; `mmap` and `mprotect` stand with their conditions.
pub(super) const MEMORY: Group = &[&[
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_msync,
    libc::SYS_membarrier,
]];

/// Threads and signals of our own; `clone` stands with its conditions.
pub(super) const THREADS: Group = &[
    &[
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_get_robust_list,
        libc::SYS_set_tid_address,
        libc::SYS_rseq,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigpending,
        libc::SYS_rt_sigreturn,
        libc::SYS_rt_sigsuspend,
        libc::SYS_rt_sigtimedwait,
        libc::SYS_sigaltstack,
        libc::SYS_tgkill,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_gettid,
        libc::SYS_getpgid,
        libc::SYS_getsid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_getresuid,
        libc::SYS_getresgid,
        libc::SYS_getgroups,
        libc::SYS_getrlimit,
        libc::SYS_getrusage,
        libc::SYS_getrandom,
        libc::SYS_getcpu,
        libc::SYS_sysinfo,
        libc::SYS_uname,
        libc::SYS_capget,
    ],
    old![SYS_arch_prctl, SYS_getpgrp],
];

/// What time it is, and waiting for it. Setting it is not among these.
pub(super) const TIME: Group = &[
    &[
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_times,
        libc::SYS_timerfd_create,
        libc::SYS_timerfd_settime,
        libc::SYS_timerfd_gettime,
    ],
    old![SYS_time],
];

/// Waiting for descriptors.
pub(super) const EVENTS: Group = &[
    &[
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_eventfd2,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
    ],
    old![SYS_epoll_create, SYS_epoll_wait, SYS_poll, SYS_select],
];

/// Sockets; `socket` stands with its conditions.
pub(super) const SOCKETS: Group = &[&[
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
]];

/// Being called.
pub(super) const LISTENING: Group = &[&[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4]];

/// Starting programs: `nft`, `journalctl`, ourselves.
pub(super) const PROGRAMS: Group = &[
    &[
        libc::SYS_execve,
        libc::SYS_wait4,
        libc::SYS_waitid,
        libc::SYS_kill,
        libc::SYS_setpgid,
        libc::SYS_setsid,
        libc::SYS_chdir,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
    ],
    old![SYS_fork, SYS_vfork],
];

/// The kernel's programs and maps.
pub(super) const BPF: Group = &[&[libc::SYS_bpf]];

/// Building walls of one's own, inside those that stand.
pub(super) const WALLS: Group = &[&[
    libc::SYS_seccomp,
    libc::SYS_capset,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
]];

/// A C library that is told that there is no such call takes the one before it, whose flags can be looked at.
pub(super) const UNKNOWN: Group = &[&[libc::SYS_clone3]];

/// What only somebody who has taken us over asks for. It ends the process instead of letting him try something else.
pub(super) const FATAL: Group = &[
    &[
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_pivot_root,
        libc::SYS_userfaultfd,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
    ],
    old![SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load],
];
