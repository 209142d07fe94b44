"""Running tests against a changed module, in a child process that has torch loaded already."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

# of others, and slow to load; rlenv itself is imported by each child anew
_PRELOADED = (
    "accelerate",
    "gymnasium",
    "hypothesis",
    "pydantic",
    "pytest",
    "safetensors.torch",
    "torch",
    "transformers",
    "transformers.models.llama.modeling_llama",
    "trl",
    "peft",
    "datasets",
)
_TIMED_OUT = -1
# these are made once, by the code as it is
_SHARED_FIXTURE = "finished_run"

Spot = tuple[str, int]
"""A function: its file, relative to the root, and the line that it begins at."""


def preload() -> None:
    """Import what every child needs, on one thread, so that a fork is safe."""
    os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    assert not any(name.split(".")[0] == "rlenv" for name in sys.modules)


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from another text.

    Args:
        path: the module's file.
        source: the text to run in its place.
        root: of the repository.
    """

    def __init__(self, path: Path, source: str, root: Path) -> None:
        self.path, self.source = path, source
        parts = path.relative_to(root).with_suffix("").parts
        self.package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.package else parts)

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        """Answer for that module alone."""
        if fullname != self.name:
            return None
        places = [str(self.path.parent)] if self.package else None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=str(self.path))
        spec.submodule_search_locations = places
        spec.has_location = True
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run the text."""
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


class Plugin:
    """What pytest is told in a child.

    Args:
        folder: where the finished run lies that tests share, or is to be left.
        root: of the repository.
        traced: files whose functions are watched; none in a run against a changed module.
    """

    def __init__(self, folder: Path, root: Path, traced: Sequence[Path] = ()) -> None:
        self.folder, self.root = folder, root
        self.traced = {str(path): str(path.relative_to(root)) for path in traced}
        self.called: dict[str, set[Spot]] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self._spots: set[Spot] = set()

    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """Give the finished run that the code as it is has made."""
        if fixturedef.argname != _SHARED_FIXTURE or not self.folder.is_dir():
            return None
        fixturedef.cached_result = (self.folder, fixturedef.cache_key(request), None)
        return self.folder

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Keep the finished run for the children to come."""
        sys.setprofile(None)
        made = item.funcargs.get(_SHARED_FIXTURE)
        if made is not None and not self.folder.exists():
            shutil.copytree(made, self.folder)

    def pytest_runtest_protocol(self, item: Any) -> None:
        """Watch which functions a test calls."""
        if self.traced:
            self._spots = self.called.setdefault(item.nodeid, set())
            sys.setprofile(self._look)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how long it took, and whether it failed."""
        if report.when == "call" and report.passed:
            self.seconds[report.nodeid] = report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def _look(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename in self.traced:
            self._spots.add((self.traced[code.co_filename], code.co_firstlineno))

    def write(self, path: Path) -> None:
        """Write down what was seen."""
        seen = {
            "tests": {
                test: {"seconds": self.seconds[test], "called": sorted(called)}
                for test, called in self.called.items()
                if test in self.seconds
            },
            "failed": self.failed,
        }
        path.write_text(json.dumps(seen))


def start(tests: Sequence[str], plugin: Plugin, log: Path, changed: Changed | None = None) -> int:
    """Run tests in a child process of its own group; return its id.

    Args:
        tests: files or node ids; the first that fails ends the run of a changed module.
        plugin: see `Plugin`.
        log: where its output goes, and beside it, as `.json`, what the plugin saw.
        changed: what to import otherwise.
    """
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if changed is not None:
            sys.meta_path.insert(0, changed)
        options = ["-q", "-n0", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        options += ["--basetemp", str(log.with_suffix(".tmp")), "-o", "addopts="]
        options += ["-m", "not slow and not docker", "--tb=line", "-W", "ignore"]
        import pytest

        stop = ["-x"] if changed is not None else []
        code = int(pytest.main([*options, *stop, *tests], plugins=[plugin]))
        plugin.write(log.with_suffix(".json"))
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait(running: Mapping[int, float]) -> tuple[int, int]:
    """Wait for one of some children.

    Args:
        running: when, by `time.monotonic`, each must have ended.

    Returns:
        A child's id and its exit code; -1 if it had to be killed.
    """
    while True:
        for child, ends in running.items():
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return child, os.waitstatus_to_exitcode(status)
            if time.monotonic() > ends:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return child, _TIMED_OUT
        time.sleep(0.05)
