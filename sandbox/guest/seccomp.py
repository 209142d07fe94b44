"""A seccomp filter: which system calls a program may make."""

import ctypes
import errno
import os
import struct

from sandbox.guest import linux, syscalls

_LD, _JEQ, _JGE, _JGT, _JSET, _RET = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_NUMBER, _ARCH, _ARG0, _ARG1, _ARG2 = 0, 4, 16, 24, 32
_SIGKILL, _RLIMIT_CPU = 9, 0
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NEWEST = 462  # calls younger than this table do not exist, so callers fall back

_CLONE_THREAD = 0x00010000
_CLONE_NEW_ANYTHING = 0x7E020080
_PRCTL = (15, 16, 0x53564D41)  # set name, get name, name a mapping
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # isatty, size, FIONREAD, flags
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032)  # fds, flags and locks; no owner, no signal
_AF_UNIX = 1


def build(pid=None, processes=False, inode=True, truncate=True):
    """Make a filter program.

    Everything not listed is refused with EPERM. Threads are always allowed.

    Args:
        pid: If given, the only process that `kill` may name. Without it the process must be
            alone in its pid namespace.
        processes: Whether the program may fork and exec.
        inode: Whether it may change the mode and times of files.
        truncate: Whether it may truncate a file by its path.

    Returns:
        The program, as bytes for `install`.

    Raises:
        OSError: The architecture is not known.
    """
    machine = os.uname().machine
    plain = syscalls.numbers(syscalls.ALWAYS, machine)
    if inode:
        plain.update(syscalls.numbers(syscalls.INODE, machine))
    if processes:
        plain.update(syscalls.numbers(syscalls.PROCESS, machine))
    if not truncate:
        plain.pop("truncate", None)
    special = syscalls.numbers(syscalls.FILTERED, machine)

    code = [_op(_LD, _ARCH), _op(_JEQ, _AUDIT_ARCH[machine], 1, 0), _op(_RET, _KILL)]
    code += [_op(_LD, _NUMBER)]
    code += _on(special["clone3"], [_op(_RET, _ENOSYS)])  # flags out of reach: use clone
    code += _on(special["clone"], _clone_rule(processes))
    for name, signal in (("kill", _ARG1), ("tgkill", _ARG2)):
        code += _on(special[name], [_op(_RET, _ALLOW)] if pid is None else _own(pid, signal))
    code += _on(special["prlimit64"], _rlimit_rule())
    code += _on(special["prctl"], _among(_ARG0, _PRCTL))
    code += _on(special["ioctl"], _among(_ARG1, _IOCTL, errno.ENOTTY))
    code += _on(special["fcntl"], _among(_ARG1, _FCNTL))
    code += _on(special["socketpair"], _among(_ARG0, [_AF_UNIX]))
    for first, last in _ranges(plain.values()):
        code += [_op(_JGT, last, 2, 0), _op(_JGE, first, 0, 1), _op(_RET, _ALLOW)]
    code += [_op(_JGE, _NEWEST, 0, 1), _op(_RET, _ENOSYS), _op(_RET, _EPERM)]
    return b"".join(code)


def install(program):
    """Put a filter on this thread, for good.

    Args:
        program: What `build` made.

    Raises:
        OSError: The kernel refused.
    """
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    )
    result = linux.libc.prctl(22, ctypes.c_ulong(2), header, ctypes.c_ulong(0), ctypes.c_ulong(0))
    linux.check(result, "seccomp")


def _op(code, k, jump_true=0, jump_false=0):
    return struct.pack("HBBI", code, jump_true, jump_false, k)


def _on(number, rule):
    """Apply `rule`, which must end in a return, to one system call."""
    return [_op(_JEQ, number, 0, len(rule)), *rule]


def _among(argument, values, error=errno.EPERM):
    """Allow if the low half of an argument is one of the values (all are 32-bit there)."""
    rule = [_op(_LD, argument)]
    for value in values:
        rule += [_op(_JEQ, value, 0, 1), _op(_RET, _ALLOW)]
    return [*rule, _op(_RET, 0x00050000 | error)]


def _own(pid, signal):
    """Signals to itself only, and not SIGKILL, which has to mean that someone else did it."""
    return [_op(_LD, signal), _op(_JEQ, _SIGKILL, 3, 0), *_among(_ARG0, [pid])]


def _rlimit_rule():
    """Its own limits only, and not the processor limit: going over it ends in a SIGKILL."""
    return [
        _op(_LD, _ARG1),
        _op(_JEQ, _RLIMIT_CPU, 0, 4),
        _op(_LD, _ARG2),
        _op(_JEQ, 0, 0, 5),
        _op(_LD, _ARG2 + 4),
        _op(_JEQ, 0, 0, 3),
        *_among(_ARG0, [0]),
    ]


def _clone_rule(processes):
    if processes:
        return [
            _op(_LD, _ARG0),
            _op(_JSET, _CLONE_NEW_ANYTHING, 0, 1),
            _op(_RET, _EPERM),
            _op(_RET, _ALLOW),
        ]
    return [
        _op(_LD, _ARG0),
        _op(_JSET, _CLONE_NEW_ANYTHING, 2, 0),
        _op(_JSET, _CLONE_THREAD, 0, 1),
        _op(_RET, _ALLOW),
        _op(_RET, _EPERM),
    ]


def _ranges(numbers):
    """Group numbers into runs, since a filter tests a run as fast as a number."""
    runs: list = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs
