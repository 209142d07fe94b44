"""Landlock: a process limits its own sight of the file system."""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH112

import ctypes
import fcntl
import os
import struct

from rlenv.sandbox.guest import linux

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_BASE_RIGHTS = (1 << 13) - 1
_NOT_NEEDED = (1 << 6) | (1 << 9) | (1 << 10) | (1 << 11)  # devices, sockets, fifos
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def version():
    """The Landlock version of this kernel; 0 if it has none or forbids it."""
    if linux.libc is None:
        return 0
    number = linux.libc.syscall(
        linux.LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)
    )
    return max(number, 0)


class Ruleset:
    """The named files and no others, made once for all the runs forked from here.

    Args:
        readable: Paths below which everything may be read. Missing ones are passed over.
        writable: Folders below which files may be made, written and removed.
        devices: Files that may be read and written.

    Attributes:
        fd: The descriptor that holds the rules.

    Raises:
        OSError: The kernel has no Landlock, or refused.
    """

    def __init__(self, readable, writable, devices=()):
        level = version()
        if not level:
            raise OSError("the kernel has no Landlock")
        handled = _BASE_RIGHTS
        handled |= _REFER if level >= 2 else 0
        handled |= _TRUNCATE if level >= 3 else 0
        handled |= _IOCTL_DEV if level >= 5 else 0
        network = 3 if level >= 4 else 0
        scoped = 3 if level >= 6 else 0  # abstract sockets and signals
        attributes = struct.pack("QQQ", handled, network, scoped)
        size = 24 if level >= 6 else 16 if level >= 4 else 8
        fd = linux.libc.syscall(
            linux.LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0)
        )
        linux.check(fd, "landlock_create_ruleset")
        # Out of the way of the numbers that a run's own descriptors take.
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)
        os.close(fd)
        for path in readable:
            _allow(self.fd, path, (_READ_FILE | _READ_DIR) & handled)
        for path in devices:
            _allow(self.fd, path, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & handled)
        for path in writable:
            _allow(self.fd, path, handled & ~(_EXECUTE | _NOT_NEEDED | _IOCTL_DEV))

    def restrict(self):
        """Take away this thread's sight of all other files, for good, and let go of the rules.

        Raises:
            OSError: The kernel refused.
        """
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.check(
            linux.libc.syscall(linux.LANDLOCK_RESTRICT_SELF, self.fd, ctypes.c_uint(0)),
            "landlock_restrict_self",
        )
        os.close(self.fd)


def _allow(ruleset, path, rights):
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, fd)
        result = linux.libc.syscall(
            linux.LANDLOCK_ADD_RULE, ruleset, ctypes.c_uint(1), rule, ctypes.c_uint(0)
        )
        linux.check(result, f"landlock_add_rule {path}")
    finally:
        os.close(fd)
