"""A seccomp filter: which system calls a program may make."""

import ctypes
import errno
import os
import struct

from rlenv.sandbox.guest import linux, syscalls

_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_ERRNO = 0x00050000
_EPERM, _ENOSYS = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
_ENOLCK, _ENOTSUP = _ERRNO | errno.ENOLCK, _ERRNO | errno.ENOTSUP
_NUMBER, _ARCH, _ARG0, _ARG1, _ARG2, _ARG4 = 0, 4, 16, 24, 32, 48
_SIGKILL, _RLIMIT_CPU = 9, 0
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_PR_SET_SECCOMP, _MODE_FILTER, _ZERO = 22, ctypes.c_ulong(2), ctypes.c_ulong(0)
_NEWEST = 462  # calls younger than this table do not exist, so callers fall back

_CLONE_THREAD = 0x00010000
_CLONE_NEW_ANYTHING = 0x7E020080
_PRCTL = (15, 16, 0x53564D41)  # set name, get name, name a mapping
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # isatty, size, FIONREAD, flags
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032)  # descriptors and flags; no owner, no signal, no pipe size
_FCNTL_LOCKS = (5, 6, 7, 36, 37, 38)
_AF_UNIX = 1
SELF = 0x7FFFFFFF  # to be replaced by the process's own id; no process has this one


def build(own_signals=False, processes=False, inode=True, truncate=True, links=True, machine=None):
    """Make a filter program.

    Everything not listed is refused with EPERM. Threads are always allowed.

    Args:
        own_signals: Whether `kill` may name the process itself only. Without it the process
            must be alone in its pid namespace.
        processes: Whether the program may fork and exec.
        inode: Whether it may change the mode and times of files.
        truncate: Whether it may truncate a file by its path.
        links: Whether it may read where symbolic links point.
        machine: The architecture, as in `os.uname().machine`; by default this one.

    Returns:
        The program, as bytes for `Filter`.

    Raises:
        OSError: The architecture is not known.
    """
    machine = machine or os.uname().machine
    rules = _rules(machine, own_signals, processes, inode, truncate, links)
    code = [_op(_LD, _ARCH), _op(_JEQ, _AUDIT_ARCH[machine], 1, 0), _op(_RET, _KILL)]
    return b"".join([*code, _op(_LD, _NUMBER), *_search(_pieces(rules))])


class Filter:
    """A filter, laid out in memory once so that the runs forked from here need only hand it in.

    Args:
        program: What `build` made.
    """

    def __init__(self, program):
        self._code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header)
        self._own_id = [
            at + 4
            for at in range(0, len(program), 8)
            if program[at : at + 8] == _op(_JEQ, SELF, 0, 1)
        ]

    def install(self):
        """Put it on this thread, for good.

        Raises:
            OSError: The kernel refused.
        """
        for at in self._own_id:
            struct.pack_into("I", self._code, at, os.getpid())
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        result = linux.libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, self._header, _ZERO, _ZERO)
        linux.check(result, "seccomp")


def _rules(machine, own_signals, processes, inode, truncate, links):
    """What to do on each system call that is known, by its number."""
    plain = syscalls.numbers(syscalls.ALWAYS, machine)
    if inode:
        plain.update(syscalls.numbers(syscalls.INODE, machine))
    if links:
        plain.update(syscalls.numbers(syscalls.LINKS, machine))
    if processes:
        plain.update(syscalls.numbers(syscalls.PROCESS, machine))
    if not truncate:
        plain.pop("truncate", None)
    # Locks reach every run that has the same file open, a device or the library's. Alone, a program
    # needs none and is told that it has them; with children it is told that there are none.
    locked = [_op(_RET, _ENOLCK if processes else _ERRNO)]
    special = {
        "clone3": [_op(_RET, _ENOSYS)],  # flags out of reach: use clone
        "clone": _clone_rule(processes),
        "kill": _own(_ARG1) if own_signals else _ALLOWED,
        "tgkill": _own(_ARG2) if own_signals else _ALLOWED,
        "prlimit64": _rlimit_rule(),
        "prctl": _among(_ARG0, _PRCTL),
        "ioctl": _among(_ARG1, _IOCTL, errno.ENOTTY),
        "fcntl": _fcntl_rule(locked),
        "flock": locked,
        "socketpair": _among(_ARG0, [_AF_UNIX]),
        "sendto": _zero(_ARG4, _ARG4 + 4),  # to whom it is connected, and to no address
    }
    numbers = syscalls.numbers(syscalls.FILTERED, machine)
    rules = dict.fromkeys(plain.values(), _ALLOWED)
    absent = syscalls.numbers(syscalls.EXTENDED_ATTRIBUTES, machine)
    rules.update((number, [_op(_RET, _ENOTSUP)]) for number in absent.values())
    return rules | {numbers[n]: special[n] for n in numbers}


def _pieces(rules):
    """Cut the numbers into pieces with one rule each; a list of (first number, rule)."""
    pieces: list = []
    for number in range(_NEWEST):
        rule = rules.get(number, _REFUSED)
        if not pieces or pieces[-1][1] != rule:
            pieces.append((number, rule))
    return [*pieces, (_NEWEST, [_op(_RET, _ENOSYS)])]


def _search(pieces):
    """Find the piece that a number lies in by halving.

    At installation the kernel plays the filter for every number there is, to learn which calls
    it need not ask about, so the way to a rule must be short.
    """
    if len(pieces) == 1:
        return pieces[0][1]
    middle = len(pieces) // 2
    below, above = _search(pieces[:middle]), _search(pieces[middle:])
    return [_op(_JGE, pieces[middle][0], len(below), 0), *below, *above]


def _op(code, k, jump_true=0, jump_false=0):
    return struct.pack("HBBI", code, jump_true, jump_false, k)


_ALLOWED = [_op(_RET, _ALLOW)]
_REFUSED = [_op(_RET, _EPERM)]


def _among(argument, values, error=errno.EPERM):
    """Allow if the low half of an argument is one of the values (all are 32-bit there)."""
    rule = [_op(_LD, argument)]
    for value in values:
        rule += [_op(_JEQ, value, 0, 1), _op(_RET, _ALLOW)]
    return [*rule, _op(_RET, _ERRNO | error)]


def _zero(*places):
    """Allow if all these words of the arguments are zero."""
    rule = []
    for left, place in zip(range(len(places) - 1, -1, -1), places):  # noqa: B905 - Python 3.9
        rule += [_op(_LD, place), _op(_JEQ, 0, 0, 2 * left + 1)]
    return [*rule, *_ALLOWED, *_REFUSED]


def _fcntl_rule(locked):
    rule = [_op(_LD, _ARG1)]
    for value in _FCNTL_LOCKS:
        rule += [_op(_JEQ, value, 0, 1), *locked]
    return [*rule, *_among(_ARG1, _FCNTL)]


def _own(signal):
    """Signals to itself only, and not SIGKILL, which has to mean that someone else did it."""
    return [_op(_LD, signal), _op(_JEQ, _SIGKILL, 3, 0), *_among(_ARG0, [SELF])]


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
