"""Running collected tests in child processes, each with one function changed.

The tests are imported and collected once. A child is a fork of that process: it gives the changed
functions their new code and runs the tests that it is told to.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from .plan import ROOT

_SHARED_FIXTURE = "finished_run"  # takes long; it is made once, by the code as it is
TIMED_OUT = -1


class Collected:
    """The tests, ready to be run by children; a plugin of pytest.

    Args:
        root: of the repository.
        folder: where the finished run lies that tests share, or is to be left.
        then: what is done once the tests are collected.
    """

    def __init__(self, root: Path, folder: Path, then: Callable[[Collected], None]) -> None:
        self.root, self.folder, self.then = root, folder, then
        self.items: dict[str, Any] = {}
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.watch: Watch | None = None

    def collect(self, files: Sequence[Path]) -> None:
        """Collect the tests of some files, and do what is done then."""
        os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
        import pytest
        import torch

        torch.set_num_threads(1)
        options = ["-q", "-s", "-n0", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        options += ["--basetemp", str(self.folder / "tmp"), "-o", "addopts=", "--tb=line"]
        options += ["-m", "not slow and not docker", "-W", "ignore"]
        pytest.main([*options, *map(str, files)], plugins=[self])

    def pytest_runtestloop(self, session: Any) -> bool:
        """Hand the tests over in place of running them."""
        from hypothesis import configuration

        configuration.set_hypothesis_home_dir(self.folder / "hypothesis")
        self.items = {item.nodeid: item for item in session.items}
        self.then(self)
        return True

    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """Give the finished run that the code as it is has made."""
        made = self.folder / "finished"
        if fixturedef.argname != _SHARED_FIXTURE or not made.is_dir():
            return None
        fixturedef.cached_result = (made, fixturedef.cache_key(request), None)
        return made

    def pytest_runtest_setup(self, item: Any) -> None:
        """Watch which functions a test calls."""
        if self.watch is not None:
            self.watch.start(item.nodeid)

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Keep the finished run for the children to come."""
        sys.setprofile(None)
        made = item.funcargs.get(_SHARED_FIXTURE)
        if made is not None and not (self.folder / "finished").exists():
            shutil.copytree(made, self.folder / "finished")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how long it took, and whether it failed."""
        if report.when == "call" and report.passed:
            self.seconds[report.nodeid] = report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def start(
        self, tests: Sequence[str], log: Path, change: Callable[[], None], *, stop: bool = True
    ) -> int:
        """Run tests in a child process of its own group; return its id.

        Args:
            tests: their ids, in order.
            log: where its output goes, and beside it, as `.json`, what it found.
            change: what is done to the code before.
            stop: end with the first test that fails.
        """
        sys.stdout.flush()
        child = os.fork()
        if child:
            return child
        code = 70
        try:
            os.setsid()
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            change()
            code = self._run([self.items[test] for test in tests], log.with_suffix(".tmp"), stop)
            found: dict[str, Any] = {"failed": self.failed}
            if self.watch is not None:
                found["tests"] = self.watch.seen(self.seconds)
            log.with_suffix(".json").write_text(json.dumps(found))
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _run(self, items: Sequence[Any], temporary: Path, stop: bool) -> int:
        temporary.mkdir(exist_ok=True)
        items[0].config._tmp_path_factory._basetemp = temporary
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed and stop:
                break
        shutil.rmtree(temporary, ignore_errors=True)
        return 1 if self.failed else 0


class Watch:
    """Which functions of some files each test calls.

    Args:
        root: of the repository.
        files: to watch.
    """

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self.names = {str(path): str(path.relative_to(root)) for path in files}
        self.called: dict[str, set[tuple[str, str]]] = {}

    def start(self, test: str) -> None:
        """Begin with a test."""
        spots = self.called.setdefault(test, set())

        def look(frame: FrameType, event: str, _: Any) -> None:
            code = frame.f_code
            if event == "call" and code.co_filename in self.names:
                name = code.co_qualname.replace(".<locals>", "")
                spots.add((self.names[code.co_filename], name))

        sys.setprofile(look)

    def seen(self, seconds: Mapping[str, float]) -> dict[str, Any]:
        """Return what each test called, for those that ended well, and how long they took."""
        return {
            test: {"seconds": seconds[test], "called": sorted(called)}
            for test, called in self.called.items()
            if test in seconds
        }


def put_in(path: Path, source: str) -> None:
    """Give the functions of a file the code that another text of it has.

    Args:
        path: of a module of the library.
        source: the other text, changed inside of functions alone.
    """
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)  # a test may be the first that wants it
    module = compile(source, str(path), "exec", dont_inherit=True)
    codes = {(code.co_qualname, code.co_firstlineno): code for code in _codes(module)}
    for found in gc.get_objects():
        if not isinstance(found, FunctionType) or found.__code__.co_filename != str(path):
            continue
        old = found.__code__
        new = codes.get((old.co_qualname, old.co_firstlineno))
        if new is not None and len(new.co_freevars) == len(old.co_freevars):
            found.__code__ = new


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def wait(running: Mapping[int, float]) -> tuple[int, int]:
    """Wait for one of some children.

    Args:
        running: when, by `time.monotonic`, each must have ended.

    Returns:
        A child's id and its exit code; `TIMED_OUT` if it had to be killed.
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
                return child, TIMED_OUT
        time.sleep(0.02)
