"""What several sandbox test modules use."""

import functools
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("RLENV_SHARED", ROOT.parent / "shared"))
HOSTILE = SHARED / "sandbox" / "hostile"

NOT_A_PASS = {"fail", "error", "timeout", "memory", "output_limit"}
GOOD = "def solve(n):\n    return n * n + 1\n"
TASK = {
    "entry_point": "solve",
    "inputs": [[0], [3], [12], [7], [100]],
    "expected": [1, 10, 145, 50, 10001],
}


@functools.cache
def docker_missing():
    """Why the docker tests can't run, or an empty string."""
    try:
        import docker
    except ImportError:
        return "docker-py is not installed"
    try:
        docker.from_env(timeout=10).ping()
    except (docker.errors.DockerException, OSError) as error:
        return f"no Docker engine answers: {error}"
    return ""


def guest_processes(host=None):
    """Process ids of the guests and runs of one host process, by default of this one."""
    found = set()
    owner = str(host or os.getpid()).encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"rlenv.sandbox.guest.supervisor" in command and command.split(b"\0")[-2] == owner:
                found.add(int(folder.name))
    return found


def allowed(expect):
    """The statuses that a program's first line allows."""
    statuses = set()
    for word in expect:
        statuses |= NOT_A_PASS if word == "notpass" else {"error"} if word == "signal" else {word}
    return statuses


def load_hostile(folder):
    """Parameters for a test of each program in a folder: name, source, verdicts, checks."""
    cases = []
    for path in sorted(folder.glob("*.py")):
        source = path.read_text("utf-8")
        head = re.match(r"# EXPECT: *(\S+) *\| *CHECK: *(\S+)", source)
        if head is None:
            raise ValueError(f"{path} lacks its first line")
        case = (source, head[1].split(","), head[2].split(","))
        cases.append(pytest.param(*case, id=path.stem))
    return cases
