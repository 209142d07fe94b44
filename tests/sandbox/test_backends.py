"""Which backend is taken, and what it says about it."""

import subprocess
import sys
import textwrap

import pytest
from support import GOOD, ROOT, TASK

from rlenv.sandbox import Sandbox, SandboxError

# Denies unshare to a process and its children, as many container runtimes do.
FORBID = """
from rlenv.sandbox.guest import linux, seccomp
import errno
def install(*numbers):
    code = [seccomp._op(0x20, 0)]
    for number in numbers:
        code += [seccomp._op(0x15, number, 0, 1), seccomp._op(6, 0x50000 | errno.EPERM)]
    seccomp.Filter(b"".join([*code, seccomp._op(6, 0x7FFF0000)])).install()
"""


def python(code):
    """Run code in a process of its own, with the tests' helpers at hand."""
    setup = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests/sandbox')!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", setup + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_auto_takes_namespaces_and_says_so():
    with Sandbox(workers=1) as sandbox:
        assert sandbox.backend == "namespaces"
        assert "passed its self-test" in sandbox.choice.reason


def test_where_namespaces_are_forbidden_it_takes_landlock_and_says_why():
    code = f"""{FORBID}
install(272)  # unshare
from rlenv.sandbox import Sandbox
from support import GOOD, TASK
with Sandbox(workers=1) as sandbox:
    print(sandbox.choice.reason)
    print(sandbox.judge(GOOD, **TASK).status)
"""
    result = python(code)
    reason, status = result.stdout.splitlines()
    assert reason.startswith("landlock: it passed its self-test; namespaces does not work here:")
    assert "unshare" in reason
    assert status == "pass"


def test_where_nothing_works_the_error_says_why_for_each():
    code = f"""{FORBID}
install(272, 444, 41)  # unshare, landlock_create_ruleset, socket
from rlenv.sandbox import Sandbox
try:
    Sandbox(workers=1)
except RuntimeError as error:
    print(error)
"""
    said = python(code).stdout
    for part in ("namespaces does not work here", "the kernel has no Landlock", "docker does not"):
        assert part in said


def test_the_self_test_rejects_a_backend_that_does_not_hold(monkeypatch):
    from rlenv.sandbox import bundle as bundle_module

    original = bundle_module.bundle.__wrapped__()
    # A guest whose seccomp filter lets everything through.
    import marshal

    parts = marshal.loads(original[8:])
    parts = [
        (
            name,
            package,
            source.replace(
                "def install(self):", "def install(self):\n        return\n    def _(self):"
            ),
        )
        for name, package, source in parts
    ]
    data = marshal.dumps(parts, 2)
    monkeypatch.setattr(
        "rlenv.sandbox.worker.bundle", lambda: len(data).to_bytes(8, "little") + data
    )
    with pytest.raises(SandboxError, match=r"a program could .*fork"):
        Sandbox("namespaces", workers=1)


def test_unsafe_is_refused_unless_asked_for_twice():
    with pytest.raises(SandboxError, match="allow_unsafe=True"):
        Sandbox("unsafe")
    with pytest.warns(UserWarning, match="protects from accidents only"):
        sandbox = Sandbox("unsafe", workers=1, allow_unsafe=True)
    with sandbox:
        assert sandbox.backend == "unsafe"


@pytest.mark.filterwarnings("ignore:the unsafe sandbox")
def test_unsafe_judges_limits_and_kills():
    with Sandbox("unsafe", workers=1, allow_unsafe=True) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
        assert sandbox.judge("def solve(n): return -1", **TASK).status == "fail"
        assert sandbox.run("print(input())", "hello").stdout == "hello\n"
        assert sandbox.run("while True: pass", cpu_seconds=0.3).status == "timeout"
        assert sandbox.run("import time\ntime.sleep(60)", cpu_seconds=0.2).status == "timeout"
        assert sandbox.run("x = bytearray(1 << 40)").status == "memory"
        assert sandbox.run("import os\nos.kill(os.getpid(), 9)").status == "error"
        assert (
            sandbox.run("import os\nopen('f', 'w').close()\nprint(os.listdir())").stdout
            == "['f']\n"
        )
        assert sandbox.run("import os\nprint(os.listdir())").stdout == "[]\n"


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="backend must be"):
        Sandbox("chroot")
    with pytest.raises(ValueError, match="workers"):
        Sandbox(workers=0)
    with pytest.raises(SandboxError, match="no such module"):
        Sandbox("namespaces", preload=["no_such_module"])


def test_the_package_stands_alone():
    code = """
import rlenv, sys
before = set(sys.modules)
import rlenv.sandbox
new = set(sys.modules) - before
others = {"torch", "docker", "numpy"}
print([m for m in new if m.partition(".")[0] in others])
print([m for m in new if m.startswith("rlenv.") and not m.startswith("rlenv.sandbox")])
"""
    assert python(code).stdout == "[]\n[]\n"


@pytest.mark.docker
def test_containers_are_recycled_and_locked_down():
    from conftest import open_sandbox

    with open_sandbox("docker", workers=1, recycle=5) as sandbox:
        import docker

        from rlenv.sandbox.backends.docker import OWNER_LABEL

        client = docker.from_env()

        def containers():
            return {c.id: c for c in client.containers.list(filters={"label": OWNER_LABEL})}

        before = set(containers())
        first = {sandbox.judge(GOOD, **TASK).status: containers()}
        mine = {}
        for _ in range(12):
            assert sandbox.judge(GOOD, **TASK).passed
            mine.update(containers())
        assert "pass" in first
        assert len(set(mine) - before) >= 2
        host = next(iter(mine.values())).attrs["HostConfig"]
        assert host["NetworkMode"] == "none"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["PidsLimit"] > 0
        assert 0 < host["Memory"] == host["MemorySwap"]
        assert "no-new-privileges" in host["SecurityOpt"]
        client.close()
