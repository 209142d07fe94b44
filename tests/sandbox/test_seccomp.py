"""The system call filter, played by hand: what it lets through, on each architecture."""

import struct

import pytest

from rlenv.sandbox.guest import seccomp, syscalls

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
DONE, ENOLCK, ENOTSUP = 0x50000, 0x50025, 0x5005F  # nothing is done, and that is called a success
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def play(program, number, arguments=(), architecture=ARCHITECTURE["x86_64"]):
    """What the kernel's filter machine would answer."""
    arguments = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    at = held = 0
    while True:
        code, yes, no, k = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            held = struct.unpack_from("<I", data, k)[0]
        elif code == 0x06:
            return k
        else:
            holds = {0x15: held == k, 0x35: held >= k, 0x45: held & k != 0}[code]
            at += yes if holds else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("inode", [False, True])
@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("links", [False, True])
def test_a_call_passes_if_and_only_if_it_is_listed(machine, processes, inode, links):
    program = seccomp.build(processes=processes, inode=inode, links=links, machine=machine)
    tables = [syscalls.ALWAYS, *[syscalls.INODE] * inode, *[syscalls.PROCESS] * processes]
    tables += [syscalls.LINKS] * links
    listed = {n for table in tables for n in syscalls.numbers(table, machine).values()}
    absent = set(syscalls.numbers(syscalls.EXTENDED_ATTRIBUTES, machine).values())
    judged_by_arguments = set(syscalls.numbers(syscalls.FILTERED, machine).values())
    x32 = range(0x40000000, 0x40000200)
    for number in {*range(1000), *x32, 0xFFFFFFFF} - judged_by_arguments:
        wanted = ALLOW if number in listed else EPERM if number < 462 else ENOSYS
        wanted = ENOTSUP if number in absent else wanted
        assert play(program, number, architecture=ARCHITECTURE[machine]) == wanted, number


def test_calls_of_another_architecture_are_fatal():
    program = seccomp.build(machine="x86_64")
    for number in range(500):
        assert play(program, number, architecture=0x40000003) == KILL  # 32 bit
        assert play(program, number, architecture=ARCHITECTURE["aarch64"]) == KILL


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("kill", [seccomp.SELF, 10], ALLOW),  # where the process's own id will be
        ("kill", [seccomp.SELF, 9], EPERM),
        ("kill", [1, 10], EPERM),
        ("kill", [0xFFFFFFFF, 10], EPERM),
        ("tgkill", [seccomp.SELF, 7, 6], ALLOW),
        ("tgkill", [seccomp.SELF, 7, 9], EPERM),
        ("tgkill", [1, 1, 6], EPERM),
        ("prlimit64", [0, 7, 1], ALLOW),
        ("prlimit64", [1, 7, 0], EPERM),
        ("prlimit64", [0, 0, 0], ALLOW),  # reading the processor limit
        ("prlimit64", [0, 0, 1], EPERM),  # setting it
        ("prlimit64", [0, 0, 1 << 32], EPERM),
        ("prctl", [15], ALLOW),
        ("prctl", [4], EPERM),  # dumpable
        ("prctl", [22], EPERM),  # a filter of its own
        ("ioctl", [1, 0x5401], ALLOW),
        ("ioctl", [1, 0x5412], 0x50000 | 25),  # typing into a terminal
        ("fcntl", [1, 3], ALLOW),
        ("fcntl", [1, 8], EPERM),  # an owner to be signalled
        ("fcntl", [1, 1031], EPERM),  # a larger pipe
        *(("fcntl", [1, lock], DONE) for lock in (5, 6, 7, 36, 37, 38)),
        ("flock", [1, 2], DONE),
        ("sendto", [1, 2, 3, 4], ALLOW),
        ("sendto", [1, 2, 3, 4, 0x7FFF00000000, 16], EPERM),  # to an address
        ("sendto", [1, 2, 3, 4, 0x1000, 16], EPERM),
        ("socketpair", [1], ALLOW),
        ("socketpair", [2], EPERM),
        ("clone", [0x3D0F00], ALLOW),  # a thread
        ("clone", [0x11], EPERM),  # a process
        ("clone", [0x3D0F00 | 0x10000000], EPERM),  # a user namespace
        ("clone3", [0], ENOSYS),
    ],
)
def test_calls_judged_by_their_arguments(machine, call, arguments, answer):
    program = seccomp.build(own_signals=True, inode=False, machine=machine)
    number = syscalls.numbers(syscalls.FILTERED, machine)[call]
    assert play(program, number, arguments, ARCHITECTURE[machine]) == answer


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_program_with_children_is_told_that_there_are_no_locks(machine):
    program = seccomp.build(processes=True, machine=machine)
    calls = syscalls.numbers(syscalls.FILTERED, machine)
    for call, arguments in (("fcntl", [1, 6]), ("flock", [1, 2])):
        assert play(program, calls[call], arguments, ARCHITECTURE[machine]) == ENOLCK


def test_a_machine_without_a_table_is_refused():
    with pytest.raises(OSError, match="no system call table for riscv64"):
        seccomp.build(machine="riscv64")
