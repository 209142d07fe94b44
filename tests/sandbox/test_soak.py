"""Thousands of runs, kind and hostile, leave nothing behind."""

# ruff: noqa: PTH208, PTH115

import ctypes
import gc
import os
import random
import re
import tempfile
from pathlib import Path

import pytest
from conftest import open_sandbox
from support import GOOD, HOSTILE, ROOT, TASK, guest_processes

from rlenv.sandbox import FunctionJob, Limits, ScriptJob

# Those that wait for a wall clock would make up the whole soak.
SLOW = {
    "e02_sleep",
    "f12_timing_stop",
    "e07_nondaemon_thread",
    "e10_fork_bomb",
    "e11_thread_bomb",
    "a07_fork_parent_exits0",
    "c11_late_child_writer",
    "e14_disk_fill",
    "e16_zip_bomb",
    "c05_result_flood",
    "unlinked_files",
    "many_files",
    "deep_folders",
    "hidden_memory",
}


def jobs(count, seed):
    """A mix: four in five are honest, right or wrong; the rest are hostile."""
    rng = random.Random(seed)
    hostile = [
        path.read_text("utf-8")
        for folder in (HOSTILE, ROOT / "tests" / "sandbox" / "hostile")
        if folder.is_dir()
        for path in sorted(folder.glob("*.py"))
        if path.stem not in SLOW
    ]
    for i in range(count):
        kind = rng.random()
        if kind < 0.6:
            yield True, FunctionJob(GOOD, "solve", TASK["inputs"], TASK["expected"])
        elif kind < 0.7:
            yield True, ScriptJob("print(input() * 2)", ["ab"], ["abab"])
        elif kind < 0.8:
            yield False, FunctionJob(f"def solve(n): return {i}", "solve", [[1], [2]], [-1, -2])
        else:
            source = rng.choice(hostile)
            yield (
                None,
                FunctionJob(source, "solve", TASK["inputs"], TASK["expected"], cpu_seconds=0.1),
            )


def resident(pid):
    """Private memory of a process in KiB; what it shares does not count."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean", "Private_Dirty", "Swap:")):
            total += int(line.split()[1])
    return total


def mounts(pid, backend):
    """Where a process sees something mounted."""
    lines = Path(f"/proc/{pid}/mounts").read_text().splitlines()
    found = [re.sub("[0-9a-f]{12,}", "<id>", line.split()[1]) for line in lines]
    if backend != "docker":  # an engine may serve others meanwhile, and mounts only there
        engine = ("/var/lib/docker/", "/run/docker/")
        found = [path for path in found if not path.startswith(engine)]
    return sorted(found)


def state(sandbox):
    """What could leak, counted."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pids = sandbox.pids() if sandbox.backend != "docker" else []
    # The guest's processes are ours to look at as root only; elsewhere the host's must do.
    readable = [p for p in [os.getpid(), *pids] if os.access(f"/proc/{p}/fd", os.R_OK | os.X_OK)]
    return {
        "processes": len(guest_processes()),
        "descriptors": sorted(len(os.listdir(f"/proc/{p}/fd")) for p in readable),
        "mounts": sorted(mounts(p, sandbox.backend) for p in readable),
        "files": len(list(Path(tempfile.gettempdir()).iterdir())),
        "namespaces": len(
            {
                os.readlink(f"/proc/{p}/ns/{kind}")
                for p in guest_processes()
                for kind in ("user", "pid", "mnt", "ipc", "net")
                if os.access(f"/proc/{p}/ns/{kind}", os.R_OK)
            }
        ),
    }, {p: resident(p) for p in readable}


def soak(sandbox, count):
    def run(part, seed):
        expected, many = zip(*jobs(part, seed), strict=True)
        for right, verdict in zip(expected, sandbox.judge_many(many), strict=True):
            assert verdict.status != "infrastructure", verdict
            if right is not None:
                assert verdict.passed is right, verdict

    run(200, 0)  # caches fill
    before, memory_before = state(sandbox)
    for seed in range(1, count // 500 + 1):
        run(500, seed)
    after, memory_after = state(sandbox)
    assert after == before
    warm_parents = set(sandbox.pids()[1::2])
    for pid, size in memory_before.items():
        # A warm parent never holds a job. The others' heaps are as large as the outputs they
        # last held, megabytes at a time, but do not grow with the number of runs.
        allowed = 1024 if pid in warm_parents else 32 * 1024
        assert memory_after[pid] - size < allowed, (memory_before, memory_after)


@pytest.fixture
def temporary(monkeypatch):
    """A temporary folder of this test's own: tests beside it make sandboxes, too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # a guest that is nobody passes through it
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.mark.parametrize(
    ("backend", "count"),
    [
        ("namespaces", 1000),
        ("landlock", 500),
        pytest.param("docker", 500, marks=pytest.mark.docker),
        pytest.param("namespaces", 20_000, marks=pytest.mark.slow),
        pytest.param("landlock", 20_000, marks=pytest.mark.slow),
        pytest.param("docker", 20_000, marks=[pytest.mark.slow, pytest.mark.docker]),
    ],
)
def test_soak(backend, count, temporary):
    outside = guest_processes()
    limits = Limits(cpu_seconds=1.0, memory_bytes=256 << 20)
    # Containers are replaced by the same soak often enough to see that they go away.
    with open_sandbox(backend, workers=3, limits=limits, recycle=200) as sandbox:
        soak(sandbox, count)
    assert guest_processes() == outside
    assert not list(temporary.iterdir())
