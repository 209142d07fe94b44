"""What a program can reach: nothing of the host, nothing of another run."""

# ruff: noqa: E501

import contextlib
import os
import socket
import sys
import threading
import time

import pytest
from conftest import open_sandbox
from support import GOOD

from rlenv.sandbox import Limits, Sandbox
from rlenv.sandbox.jobs import FunctionJob, call_order

# Calls that must fail, by their numbers here; -1 with EPERM or ENOSYS is a refusal.
REFUSED_CALLS = {
    "ptrace": 101,
    "process_vm_readv": 310,
    "unshare": 272,
    "setns": 308,
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "chroot": 161,
    "bpf": 321,
    "io_uring_setup": 425,
    "userfaultfd": 323,
    "perf_event_open": 298,
    "keyctl": 250,
    "add_key": 248,
    "memfd_create": 319,
    "shmget": 29,
    "msgget": 68,
    "mq_open": 240,
    "init_module": 175,
    "kexec_load": 246,
    "open_by_handle_at": 304,
    "name_to_handle_at": 303,
    "personality": 135,
    "setuid": 105,
    "setgid": 106,
    "capset": 126,
    "sethostname": 170,
    "settimeofday": 164,
    "sched_setaffinity": 203,
    "sched_setscheduler": 144,
    "setpriority": 141,
    "mknod": 133,
    "seccomp": 317,
    "landlock_create_ruleset": 444,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "rt_sigqueueinfo": 129,
    "tkill": 200,
    "fork": 57,
    "vfork": 58,
    "execve": 59,
    "execveat": 322,
    "mount_setattr": 442,
    "open_tree": 428,
    "fsopen": 430,
    "inotify_init": 253,
    "fanotify_init": 300,
    "acct": 163,
    "reboot": 169,
    "swapon": 167,
    "quotactl": 179,
    "chown": 92,
    "setxattr": 188,
    "timer_create": 222,
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_dangerous_system_calls_are_refused(jailed):
    program = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number):
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    return ctypes.get_errno() if result == -1 else "allowed"
"""
    verdict = jailed.judge(
        program,
        entry_point="call",
        inputs=[[number] for number in REFUSED_CALLS.values()],
        expected=[1] * len(REFUSED_CALLS),
    )
    wrong = {
        name: test.value
        for name, test in zip(REFUSED_CALLS, verdict.tests, strict=True)
        if test.value not in (1, 38)
    }
    assert not wrong, verdict


def test_no_process_can_be_made(jailed):
    program = """
import os, subprocess, multiprocessing, ctypes
for attempt in (
    os.fork,
    os.forkpty,
    lambda: os.execv("/bin/true", ["true"]),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: subprocess.run(["true"]),
    lambda: multiprocessing.Process(target=print).start(),
):
    try:
        attempt()
        print("made one")
    except OSError:
        pass
"""
    result = jailed.run(program)
    assert (result.stdout, result.status) == ("", "ok"), result


def test_no_signal_reaches_another_process(jailed):
    program = f"""
import os
reached = []
for pid in [*range(1, 5000), {os.getpid()}, -1, 0]:
    if pid == os.getpid():
        continue
    try:
        os.kill(pid, 0)
        reached.append(pid)
    except OSError:
        pass
print(reached)
"""
    allowed = "[-1, 0]\n" if jailed.backend == "namespaces" else "[]\n"  # alone there
    assert jailed.run(program).stdout in (allowed, "[0]\n", "[]\n")


def test_no_network(jailed):
    program = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, 40):
    try:
        socket.socket(family)
        print("opened", family)
    except OSError:
        pass
"""
    assert jailed.run(program).stdout == ""


def test_no_datagram_reaches_a_socket_of_the_host(jailed, tmp_path):
    tmp_path.chmod(0o777)
    name = "rlenv-test-" + os.urandom(8).hex()
    program = f"""
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.send(b"in here")
print(b.recv(10))
for address in ({str(tmp_path / "socket")!r}, "\\0{name}"):
    try:
        a.sendto(b"out there", address)
        print("sent")
    except OSError:
        pass
"""
    received = []
    with contextlib.ExitStack() as stack:
        for address in (str(tmp_path / "socket"), f"\0{name}"):
            server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            server.bind(address)
            server.setblocking(False)
            received.append(server)
        (tmp_path / "socket").chmod(0o777)
        assert jailed.run(program).stdout == "b'in here'\n"
        for server in received:
            with pytest.raises(BlockingIOError):
                server.recv(100)


def test_targets_of_links_of_the_host_can_not_be_read(jailed, host):
    link = host.folder / "link"
    link.symlink_to(f"/nowhere/{host.secret}")
    program = f"""
import ctypes, os
libc = ctypes.CDLL(None)
for call in (
    lambda: os.readlink({str(link)!r}),
    lambda: os.path.realpath({str(link)!r}),
    lambda: libc.readlink({str(link)!r}.encode(), buffer, 200) and buffer.value,
    lambda: libc.readlinkat(-100, {str(link)!r}.encode(), buffer, 200) and buffer.value,
):
    buffer = ctypes.create_string_buffer(200)
    try:
        print(call())
    except OSError:
        pass
"""
    result = jailed.run(program)
    assert result.status == "ok", result
    assert host.secret not in result.stdout


def test_the_folder_of_a_run_has_no_traces_of_an_earlier_one(jailed):
    look = """
import os
found = os.stat(".")
print(found.st_size, found.st_blocks, found.st_nlink, found.st_mode, os.listdir("."))
"""
    before = [jailed.run(look).stdout for _ in range(3)]
    for _ in range(3):
        filled = jailed.run(
            "import os\nfor i in range(900): open(f'{i:0200}', 'w').close()\n"
            "for name in os.listdir('.'): os.unlink(name)"
        )
        assert filled.status == "ok", filled
    after = [jailed.run(look).stdout for _ in range(3)]
    assert {*before, *after} == {before[0]}
    assert before[0].endswith("[]\n")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", os.__file__])
def test_locks_tell_nothing_to_a_concurrent_run(jailed, path):
    hold = f"""
import fcntl, os, time
for mode in (os.O_RDWR, os.O_RDONLY):
    try:
        fd = os.open({path!r}, mode)
        break
    except OSError:
        pass
for lock in (lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
             lambda: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB),
             lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)):
    try:
        lock()
    except OSError:
        pass
"""
    query = f"""
import fcntl, os, struct
fd = os.open({path!r}, os.O_RDONLY)
asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
try:
    print(fcntl.fcntl(fd, fcntl.F_GETLK, asked) != asked)
except OSError:
    print(False)
try:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("locked")
except OSError:
    pass
"""
    alone = jailed.run(query).stdout
    holder = threading.Thread(target=jailed.run, args=(f"{hold}time.sleep(1.5)",))
    holder.start()
    try:
        time.sleep(0.7)
        assert jailed.run(query).stdout == alone == "False\n"
    finally:
        holder.join()


def test_sockets_hold_little(jailed):
    program = """
import socket
held, pairs = 0, []
while True:
    try:
        pairs.append(socket.socketpair())
    except OSError:
        break
for pair in pairs:
    for end in pair:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            try:
                end.setsockopt(socket.SOL_SOCKET, option, 1 << 23)
            except OSError:
                pass
        end.setblocking(False)
        try:
            while True:
                held += end.send(bytes(1 << 16))
        except OSError:
            pass
print(len(pairs) > 20, held < 32 << 20)
"""
    assert jailed.run(program).stdout == "True True\n"


def test_nothing_of_the_host_can_be_read(jailed, host):
    program = """
import os, sys
def tree(top):
    found = []
    for folder, _, files in os.walk(top):
        found += [os.path.join(folder, name) for name in files]
    return found
def look(paths):
    out = []
    for path in paths:
        try:
            out.append(open(path, "rb").read(10_000))
        except OSError:
            pass
    return repr(out)
"""
    paths = [str(p) for p in host.folder.rglob("*")]
    paths += ["/etc/shadow", "/root/.ssh/id_rsa", "/proc/1/environ", "/proc/self/environ", __file__]
    paths += [f"/proc/{os.getpid()}/environ", f"/proc/{os.getppid()}/cmdline", "/proc/kallsyms"]
    verdict = jailed.judge(program, entry_point="look", inputs=[[paths]], expected=["[]"])
    shown = str(verdict.tests[0].value)
    host.check(verdict, jailed)
    for leaked in ("root:", "SBX_", "def test_nothing_of_the_host", "startup_64"):
        assert leaked not in shown


def test_the_environment_is_clean(jailed, monkeypatch):
    monkeypatch.setenv("RLENV_TEST_SECRET", "x")
    result = jailed.run("import os\nprint(sorted(os.environ))")
    assert "RLENV_TEST_SECRET" not in result.stdout
    assert "PATH" in result.stdout


def test_a_run_finds_nothing_of_an_earlier_one(jailed):
    mark = "mark" + "ed-" + os.urandom(6).hex()
    leave = f"""
import builtins, os, sys
mark = {mark!r}
builtins.left = mark
sys.modules["left"] = mark
open("left", "w").write(mark)
print(mark, file=sys.stderr)
def solve(n):
    print(n, mark)
    return n
"""
    for _ in range(4):  # on every worker
        verdict = jailed.judge(leave, entry_point="solve", inputs=[[mark * 3]], expected=[mark * 3])
        assert verdict.passed
    # Search all readable memory for it; the search itself must not hold the whole word.
    search = f"""
import builtins, ctypes, os, sys
found = []
if hasattr(builtins, "left") or "left" in sys.modules or os.listdir("."):
    found.append("state")
word = ({mark[:9]!r}[::-1], {mark[9:]!r})
word = word[0][::-1].encode() + word[1].encode()
import gc
for o in gc.get_objects():
    if o is not globals() and type(o) is dict and {mark[:9]!r} + {mark[9:]!r} in map(str, list(o.values())[:500]):
        found.append("object")
try:
    maps = [line.split() for line in open("/proc/self/maps")]
except OSError:
    maps = []
own = id(word)
for line in maps:
    if line[1].startswith("rw") and "[v" not in line[-1]:
        start, end = (int(x, 16) for x in line[0].split("-"))
        data = ctypes.string_at(start, end - start)
        at = data.find(word + b"@")
        while at >= 0:
            found.append("memory")
            at = data.find(word + b"@", at + 1)
print(found)
"""
    # The stray copies of the word that the search makes are not followed by this sign.
    for _ in range(4):
        jailed.run(f"print('{mark}@' * 100)", stdin=f"{mark}@" * 100)
        result = jailed.run(search)
        assert result.stdout == "[]\n", result


def test_expected_values_never_leave_the_host():
    with Sandbox(workers=1) as sandbox:
        secret = "expected-" + os.urandom(8).hex()
        job = FunctionJob(GOOD, "solve", [[1]], [secret])
        order = call_order(job, sandbox.limits)
        assert secret.encode() not in repr(order).encode() + order["job"]
        verdict = sandbox.judge_job(job)
        assert verdict.status == "fail"
        assert secret not in repr(verdict)


def test_what_it_was_given_can_not_be_changed(jailed):
    program = """
import os, sys
try:
    os.write(0, b"x")
    print("wrote")
except OSError:
    pass
print(sys.stdin.read())
"""
    assert jailed.run(program, "input").stdout == "input\n"


def test_few_descriptors_are_open(jailed):
    result = jailed.run("""
import os
found = []
for fd in range(64):
    try:
        os.fstat(fd)
        found.append(fd)
    except OSError:
        pass
print(found)
""")
    assert result.stdout == "[0, 1, 2, 3]\n"


def test_ids_and_rights(jailed):
    result = jailed.run("import os\nprint(os.getuid(), os.geteuid(), os.getgid(), os.getgroups())")
    uid, euid, *rest = result.stdout.split(maxsplit=2)
    assert uid == euid != "0", rest


def test_the_root_is_read_only(jailed):
    program = """
import os, sys
for path in ("/new", "/usr/new", "/etc/new", sys.prefix + "/new", os.__file__, "/dev/new", "/proc/new"):
    try:
        open(path, "a").close()
        print("wrote", path)
    except OSError:
        pass
for path in (os.__file__, "/usr", "/"):
    for change in (lambda: os.chmod(path, 0o777), lambda: os.utime(path), lambda: os.unlink(path)):
        try:
            change()
            print("changed", path)
        except OSError:
            pass
"""
    assert jailed.run(program).stdout == ""


@pytest.mark.parametrize(
    "backend", ["namespaces", pytest.param("docker", marks=pytest.mark.docker)]
)
def test_processes_on_request_are_counted_and_die_with_the_run(backend, host):
    with open_sandbox(backend, workers=1, limits=Limits(cpu_seconds=1.0, processes=4)) as sandbox:
        result = sandbox.run(
            "import os\npid = os.fork()\nif not pid: os._exit(7)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
        )
        assert result.stdout == "7\n", result
        flood = """
import os, time
def solve(n):
    made = 0
    for _ in range(300):
        try:
            if not os.fork():
                time.sleep(20)
                os._exit(0)
        except OSError:
            break
        made += 1
    return made < 100
"""
        verdict = sandbox.judge(flood, entry_point="solve", inputs=[[0]], expected=[True])
        assert verdict.passed, verdict
        host.check(verdict, sandbox)


@pytest.mark.parametrize(
    "backend", ["namespaces", "landlock", pytest.param("docker", marks=pytest.mark.docker)]
)
def test_numpy_on_request(backend):
    pytest.importorskip("numpy")
    program = (
        "import numpy as np\nimport numpy.polynomial\ndef f(n): return float(np.ones((n, n)).sum())"
    )
    with open_sandbox(backend, workers=1, preload=["numpy"]) as sandbox:
        assert sandbox.judge(program, entry_point="f", inputs=[[30]], expected=[900.0]).passed


def test_without_a_request_there_is_no_numpy(sandbox):
    assert "ModuleNotFoundError" in sandbox.run("import numpy").stderr


def test_the_host_is_not_forked():
    # Its threads, its locks and its secrets must not come along.
    program = "import sys\nprint('pytest' in sys.modules, 'sandbox' in sys.modules, __name__)"
    assert "pytest" in sys.modules
    with Sandbox(workers=1) as sandbox:
        assert sandbox.run(program).stdout == "False False __main__\n"
