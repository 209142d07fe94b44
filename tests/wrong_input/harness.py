"""What a case of wrong input is, and how it is run.

A case is a command and what it must say. It is run in this process, in a folder of its own, and
everything that it prints is caught, what libraries write to the file descriptors and log included.
Start-up, signals and a sample of the cases are tried in processes of their own; see
`test_processes.py`.

In words, overrides and the contents of files, `$here` is the case's folder, `$run` a finished run,
`$model` its last checkpoint, `$evaluation` an evaluation of that, `$digits` an environment and
`$server` a server whose paths are endpoints, see `server.py`. A case must change none of these;
what is to be damaged is copied to `$here/model` or `$here/run` by a damage such as `on_model(...)`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

SECONDS = 60
LINES = 10

Damage = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One thing that a user may get wrong.

    Attributes:
        name: what is wrong, in some words.
        words: the command after `rlenv`.
        says: a regular expression that the output must hold, in any case of letters; best the
            part of the sentence that says what to do.
        files: name to content, written into the case's folder before.
        code: 2 for what the user gave wrongly, 1 for what failed on the way.
        damage: called with the case's folder before.
        stdin: what the command reads.
        before: environment variables.
    """

    name: str
    words: Sequence[str]
    says: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    code: int = 2
    damage: Damage | None = None
    stdin: str = ""
    before: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """What the words and files of cases may name."""

    run: Path
    digits: Path
    server: str

    def names(self, here: Path) -> dict[str, str]:
        """Return what stands for each name."""
        return {
            "here": str(here),
            "run": str(self.run),
            "model": str(self.run / "grpo"),
            "evaluation": str(self.run / "evaluations" / "grpo"),
            "server": self.server,
            "digits": f"{self.digits}:demo/Digits-v0",
        }


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    code: int
    text: str

    def complaints(self, case: Case) -> list[str]:
        """Return what is wrong with how the command ended."""
        found = []
        lines = [line for line in self.text.splitlines() if line.strip()]
        if self.code != case.code:
            found.append(f"it exits with {self.code}, not with {case.code}")
        if "Traceback (most recent call last)" in self.text:
            found.append("it shows a traceback")
        if len(lines) > LINES:
            found.append(f"it takes {len(lines)} lines, more than {LINES}")
        if not re.search(case.says, " ".join(self.text.split()), re.IGNORECASE):
            found.append(f"it does not say {case.says!r}")
        return found


def prepare(case: Case, places: Places, here: Path) -> list[str]:
    """Write a case's files into its folder, do its damage, and return its words."""
    names = places.names(here)
    for name, content in case.files.items():
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(Template(content).safe_substitute(names), encoding="utf-8")
    if case.damage is not None:
        (here / ".model").symlink_to(names["model"])
        (here / ".run").symlink_to(names["run"])
        case.damage(here)
    return [Template(word).safe_substitute(names) for word in case.words]


def run_here(case: Case, places: Places, here: Path) -> Outcome:
    """Run a case in this process."""
    words = prepare(case, places, here)
    with _caught(here) as read, _as_it_was(), _limited(), _standing_in(case, here):
        code = _call(words)
    return Outcome(code, read())


def _call(words: Sequence[str]) -> int:
    from rlenv.cli.main import main

    try:
        return main(words)
    except SystemExit as end:  # argparse's
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 as the interpreter would
        traceback.print_exc()
        return 99


@contextlib.contextmanager
def _caught(here: Path) -> Iterator[Callable[[], str]]:
    """Send all output to a file, that of the logging and of file descriptors too."""
    path = here / ".output"
    kept = os.dup(1), os.dup(2)
    streams = sys.stdout, sys.stderr
    root = logging.getLogger()
    handlers = root.handlers[:]
    for stream in streams:
        stream.flush()
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), "utf-8", line_buffering=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), "utf-8", line_buffering=True)
        root.handlers = []  # then warnings go where they go without a test's handlers
        try:
            yield lambda: path.read_text("utf-8", "replace")
        finally:
            root.handlers = handlers
            for stream in (sys.stdout, sys.stderr):
                stream.close()
            sys.stdout, sys.stderr = streams
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Leave the process as it was: folder, environment, signals."""
    folder, environment = Path.cwd(), dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        os.chdir(folder)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _standing_in(case: Case, here: Path) -> Iterator[None]:
    os.chdir(here)
    os.environ.update(case.before)
    stdin = sys.stdin
    sys.stdin = io.StringIO(case.stdin)
    try:
        yield
    finally:
        sys.stdin = stdin


class TooLong(BaseException):
    """A case took longer than it may."""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TooLong(f"still running after {SECONDS} s")

    assert threading.current_thread() is threading.main_thread()
    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def on_model(damage: Damage) -> Damage:
    """Return a damage to a copy of the finished run's last checkpoint, `$here/model`."""

    def done(here: Path) -> None:
        shutil.copytree(here / ".model", here / "model")
        damage(here / "model")

    return done


def on_run(damage: Damage) -> Damage:
    """Return a damage to a copy of the finished run, `$here/run`."""

    def done(here: Path) -> None:
        shutil.copytree(here / ".run", here / "run")
        damage(here / "run")

    return done
