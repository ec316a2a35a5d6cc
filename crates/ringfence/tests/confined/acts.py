"""What somebody might try who has taken the daemon over. Arguments: a folder that it may write to, one that it may not, the number of
another process. Prints a line for each act: its name, a tab, and what came of it."""

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

OWN, OTHER, PROCESS = sys.argv[1], sys.argv[2], int(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": dict(ptrace=101, mount=165, init_module=175, clock_settime=227, unshare=272, setns=308, reboot=169,
                   kexec_load=246, swapon=167, keyctl=250, userfaultfd=323, io_uring_setup=425,
                   perf_event_open=298, open_by_handle_at=304, bpf=321, chroot=161, setuid=105,
                   process_vm_readv=310, mknodat=259, capset=126, prlimit64=302),
    "aarch64": dict(ptrace=117, mount=40, init_module=105, clock_settime=112, unshare=97, setns=268, reboot=142,
                    kexec_load=104, swapon=224, keyctl=219, userfaultfd=282, io_uring_setup=425,
                    perf_event_open=241, open_by_handle_at=265, bpf=280, chroot=51, setuid=146,
                    process_vm_readv=270, mknodat=33, capset=91, prlimit64=261),
}[platform.machine()]
UNSHARE_USER, UNSHARE_NET = 0x10000000, 0x40000000


def call(name, *arguments):
    arguments = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    if libc.syscall(ctypes.c_long(NUMBERS[name]), *arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write(path):
    with open(path, "w") as file:
        file.write("x")


def run(*command, text=None):
    subprocess.run(command, input=text, check=True, capture_output=True, text=True)


def program_in(folder):
    run(os.path.join(folder, "program"))


def bpf_map():
    # BPF_MAP_CREATE of an array of one word.
    call("bpf", 0, struct.pack("IIII", 2, 4, 4, 1) + bytes(112), 128)


def clock():
    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    call("clock_settime", 0, struct.pack("qq", now // 10**9, now % 10**9))


def low_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 80))


def executable_memory():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def all_capabilities():
    header, sets = struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", *[0xFFFFFFFF] * 3, *[0x1FF] * 3)
    call("capset", header, sets)


ACTS = {
    "write to its state directory": lambda: write(OWN + "/file"),
    "write to a file of root's elsewhere": lambda: write(OTHER + "/file"),
    "remove a file of root's elsewhere": lambda: os.remove(OTHER + "/there"),
    "give a file to another user": lambda: os.chown(OWN + "/file", 1000, 1000),
    "make a device": lambda: call("mknodat", -100, (OWN + "/null").encode(), 0o020600, os.makedev(1, 3)),
    "read what only root may, such as `/etc/shadow`": lambda: open("/etc/shadow").read(),
    "run a program of the system": lambda: run("/bin/true"),
    "run a program that it has written": lambda: program_in(OWN),
    "run a program from elsewhere": lambda: program_in(OTHER),
    "map memory that can be written and run": executable_memory,
    "make a BPF map": bpf_map,
    "change nftables": lambda: run("nft", "-f", "-", text="add table inet confined\n"),
    "change links": lambda: run("ip", "link", "set", "lo", "up"),
    "connect to anywhere": lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 9)),
    "listen on a port below 1024": low_port,
    "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "send a signal to another process": lambda: os.kill(PROCESS, 0),
    "see what another process has open": lambda: os.readlink(f"/proc/{PROCESS}/fd/0"),
    "open the memory of another process": lambda: open(f"/proc/{PROCESS}/mem", "rb"),
    "read the memory of another process": lambda: call("process_vm_readv", PROCESS, 0, 0, 0, 0, 0),
    "trace another process": lambda: call("ptrace", 16, PROCESS, 0, 0),
    "become another user": lambda: call("setuid", 1000),
    "take its capabilities back": all_capabilities,
    "change its limits": lambda: call("prlimit64", 0, resource.RLIMIT_CORE, bytes(16), None),
    "mount": lambda: call("mount", b"none", OWN.encode(), b"tmpfs", 0, None),
    "change its root": lambda: call("chroot", OWN.encode()),
    "make a user namespace": lambda: call("unshare", UNSHARE_USER),
    "make a network namespace": lambda: call("unshare", UNSHARE_NET),
    "enter a namespace": lambda: call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0),
    "open a file by its handle": lambda: call("open_by_handle_at", -100, bytes(8), 0),
    "set the clock": clock,
    "watch with perf": lambda: call("perf_event_open", bytes(128), 0, -1, -1, 0),
    "use io_uring": lambda: call("io_uring_setup", 1, bytes(120)),
    "use userfaultfd": lambda: call("userfaultfd", 0),
    "use the kernel's keys": lambda: call("keyctl", 0, -3, 0),
    "load a module": lambda: call("init_module", None, 0, b""),
    "load another kernel": lambda: call("kexec_load", 0, 0, None, 0),
    "switch swap on": lambda: call("swapon", b"/nonexistent", 0),
    "reboot": lambda: call("reboot", 0, 0, 0, None),
}


def attempt(act):
    """In a process of its own, as it may end."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except OSError as error:
            os._exit(1 if error.errno in (errno.EPERM, errno.EACCES) else 2)
        except BaseException:
            os._exit(2)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "ends the process" if os.WTERMSIG(status) == signal.SIGSYS else "died"
    return ["yes", "no", "failed"][os.WEXITSTATUS(status)]


for name, act in ACTS.items():
    print(f"{name}\t{attempt(act)}", flush=True)
