"""The few Linux calls that the standard library lacks, through ctypes."""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH123, PTH208

import ctypes
import os
import struct
import sys
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWCGROUP = 0x02000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
CAP_DAC_READ_SEARCH = 2

# The same numbers on every architecture that has these calls.
_MOUNT_SETATTR = 442
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

_AT_RECURSIVE, _AT_EMPTY_PATH = 0x8000, 0x1000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4

libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
for _name in ("capset", "mount", "prctl", "setns", "syscall", "umount2", "unshare"):
    getattr(libc, _name, None)  # found once here, not again in each run


def check(result, what):
    """Raise OSError, naming the call, if a libc call returned -1."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags):
    """Move this process into new namespaces (see unshare(2))."""
    check(libc.unshare(flags), "unshare")


def setns(fd, flags):
    """Join the namespace behind an open file (see setns(2))."""
    check(libc.setns(fd, flags), "setns")


def mount(source, target, kind="", flags=0, data=""):
    """Mount a file system (see mount(2))."""
    args = [os.fsencode(text) for text in (source, target, kind)]
    result = libc.mount(*args, ctypes.c_ulong(flags), os.fsencode(data))
    check(result, f"mount {kind or source} on {target}")


def umount(target):
    """Detach a mount at once, even if something still uses it."""
    check(libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def make_readonly(path):
    """Make a mount and all mounts below it read-only, without devices and setuid."""
    attributes = struct.pack("QQQQ", _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, 0)
    result = libc.syscall(
        _MOUNT_SETATTR, -100, os.fsencode(path), _AT_RECURSIVE, attributes, len(attributes)
    )
    check(result, f"mount_setattr {path}")


def pivot_root_here():
    """Make the working directory the root and let go of the old one."""
    number = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
    check(libc.syscall(number, b".", b"."), "pivot_root")
    umount(".")
    os.chdir("/")


def prctl(option, value=0):
    """Set one attribute of this process (see prctl(2))."""
    zero = ctypes.c_ulong(0)
    result = libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero)
    check(result, f"prctl {option}")


def set_capabilities(keep=0):
    """Give up every capability but those in the mask `keep`."""
    header = struct.pack("Ii", 0x20080522, 0)
    low, high = keep & 0xFFFFFFFF, keep >> 32
    data = struct.pack("IIIIII", low, low, 0, high, high, 0)
    check(libc.capset(header, data), "capset")


def die_with_parent(parent):
    """Have the kernel kill this process when its parent thread ends.

    Args:
        parent: The parent's process id as seen from here. If it is gone already, exit.
    """
    prctl(PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def cpu_clock(pid):
    """The clock id of another process's processor time (see clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


def core_wait(pid):
    """How a process fares in the queue for a core.

    Args:
        pid: The process.

    Returns:
        For how many seconds it was ready while all cores were taken, up to when it last got
        one: all its threads together, since they may wait in turns; 0.0 if the kernel does not
        tell. And whether one of its threads is ready, or running, now.
    """
    waited, ready = 0, False
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        tasks = []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", "rb") as file:
                waited += int(file.read().split()[1])
            with open(f"/proc/{pid}/task/{task}/stat", "rb") as file:
                # The state comes after the name, which may hold anything.
                ready = ready or file.read().rpartition(b") ")[2][:1] == b"R"
        except (OSError, IndexError, ValueError):  # the thread has ended meanwhile
            continue
    return waited / 1e9, ready
