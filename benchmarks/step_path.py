"""How much of rlenv one GRPO step passes through, and how far a sampled token travels to the loss.

    python benchmarks/step_path.py

A tiny GRPO run is taken past its warm-up, and one step of its loop is watched, from the first task
that is drawn to the line in `metrics.jsonl`: rollout, reward, advantages, loss, optimizer step,
logging. Two things are counted in it, both among the files of rlenv alone.

**The step**: the files of which at least one function ran.

**The token**: the files that one sampled token passes through. The token is known by its logprob,
which no other token of the step has. A function is on its path if the token comes out of it in
another form than it went in: it is in what the function returns or yields, or in an argument that
did not hold it when the function was called; or if the function holds the token and has called the
loss. What counts as holding it is a number, tensor or array with that value in it, a tensor that
the loss is differentiated through, or a list, dictionary or dataclass with one of these. Functions
that only look at a token, such as those that measure, lie beside the path. The files that define
the dataclasses it travels in count too.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, GeneratorType
from typing import Any

import harness
import numpy as np
import torch

import rlenv
from rlenv.cli import train
from rlenv.trainers.rl.loop import Loop
from rlenv.trainers.rl.worker import RolloutWorker

ROOT = Path(rlenv.__file__).resolve().parent
WATCHED = 3  # the step, from 0: all that is made once has been made
DEPTH = 6  # of what holds what

CONFIG = """
seed: 0
run_dir: {folder}
env: rlenv/Arithmetic-v0
threads: 1
stages:
  tokenizer: {{corpus: [tasks], max_length: 64}}
  pretrain: {{corpus: [tasks], tasks: 500, steps: 30, batch_size: 16, length: 32}}
  sft: {{demonstrations: 2000, batch_size: 64}}
  grpo: {{groups: 16, group_size: 8, steps: 5, max_tokens: 4, eval_every: 100, eval_tasks: 4,
          schedule: linear, kl: {{coefficient: 0.05}}}}
"""

Watcher = Callable[[FrameType, str, Any], None]


def file_of(frame: FrameType) -> str | None:
    """Return the file of a frame below rlenv/, or None if it belongs to somebody else."""
    path = Path(frame.f_code.co_filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else None


@contextmanager
def watching_a_step(watcher: Watcher, keep: list[Any]) -> Iterator[None]:
    """Let a function see what `sys.setprofile` sees from one step's beginning to the next's.

    Args:
        watcher: called as a profile function is.
        keep: the groups of the step are put here.
    """
    whole, collect = Loop.step, RolloutWorker.collect

    def step(self: Any, number: int, **options: Any) -> Any:
        sys.setprofile(watcher if number == WATCHED else None)
        return whole(self, number, **options)

    def kept(self: Any, number: int, *rest: Any) -> Any:
        collected = collect(self, number, *rest)
        if number == WATCHED:
            keep.append(collected.groups)
        return collected

    Loop.step, RolloutWorker.collect = step, kept  # type: ignore[method-assign]
    try:
        yield
    finally:
        sys.setprofile(None)
        Loop.step = whole  # type: ignore[method-assign]
        RolloutWorker.collect = collect  # type: ignore[method-assign]


def run(watcher: Watcher) -> list[Any]:
    """Take the tiny run from its beginning; return the groups of the watched step."""
    groups: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "run.yaml"
        config.write_text(CONFIG.format(folder=Path(folder) / "run"))
        with watching_a_step(watcher, groups):
            if train.main([str(config)]) != 0:
                raise SystemExit("the run failed")
    return groups[0]


class Step:
    """Which functions ran, by their files."""

    def __init__(self) -> None:
        self.functions: dict[str, set[str]] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take down one call."""
        if event == "call" and (path := file_of(frame)):
            self.functions.setdefault(path, set()).add(frame.f_code.co_qualname)


def a_token_of_its_own(groups: list[Any]) -> float:
    """Return the logprob of a sampled token that is trained on and has no double in the step."""
    every = [
        (len({t.reward.value for t in group.trajectories}) > 1, logprob)
        for group in groups
        for t in group.trajectories
        for logprob, sampled in zip(t.logprobs, t.loss_mask, strict=True)
        if sampled
    ]
    values = [logprob for _, logprob in every]
    return next(v for trained, v in every if trained and v < -1e-3 and values.count(v) == 1)


class Token:
    """Which functions a token passes through, by their files.

    Args:
        logprob: of the token.
    """

    def __init__(self, logprob: float) -> None:
        self.logprob = np.float32(logprob)
        self.path: dict[str, set[str]] = {}
        self.seen_by: dict[int, set[str]] = {}  # frame -> the arguments that held it at the call
        self.in_loss = self.done = False

    def holds(self, value: Any, depth: int = DEPTH) -> bool:
        """Whether a value is or holds the token."""
        if isinstance(value, torch.Tensor):
            if self.in_loss and value.requires_grad and not value.is_leaf:
                return True
            plain = value.detach()
            return plain.is_floating_point() and bool((plain.float() == float(self.logprob)).any())
        if isinstance(value, np.ndarray):
            return value.dtype.kind == "f" and bool((value == self.logprob).any())
        if isinstance(value, float):
            return np.float32(value) == self.logprob
        if depth == 0 or isinstance(value, (str, bytes, int, GeneratorType)):
            return False
        return any(self.holds(part, depth - 1) for part in parts_of(value))

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """See a call or a return."""
        path = file_of(frame)
        if path is None or self.done or event not in ("call", "return"):
            return
        name = frame.f_code.co_qualname
        if name == "Learner._loss":
            self.in_loss = event == "call"
        if event == "call":
            self.seen_by.setdefault(
                id(frame), {n for n, v in frame.f_locals.items() if self.holds(v)}
            )
            if path.startswith("trainers/rl/algorithms/") and self.in_loss:
                self._reached(frame)
            return
        before = self.seen_by.get(id(frame), set())
        names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
        given = [n for n in names if n in frame.f_locals and n not in before]
        if self.holds(argument) or any(self.holds(frame.f_locals[n]) for n in given):
            self._take(path, name)
            self._carriers(argument)
        if frame.f_code.co_flags & 0x20 == 0:  # a generator's frame lives on
            self.seen_by.pop(id(frame), None)

    def _reached(self, frame: FrameType | None) -> None:
        """Take down the loss and those of its callers that hold the token."""
        self.done = True
        while frame is not None:
            path = file_of(frame)
            if path and any(self.holds(value) for value in frame.f_locals.values()):
                self._take(path, frame.f_code.co_qualname)
                for value in frame.f_locals.values():
                    self._carriers(value)
            frame = frame.f_back

    def _take(self, path: str, what: str) -> None:
        self.path.setdefault(path, set()).add(what)

    def _carriers(self, value: Any, depth: int = DEPTH) -> None:
        """Take down the dataclasses of rlenv that hold the token."""
        if depth == 0 or not self.holds(value):
            return
        if dataclasses.is_dataclass(value) and type(value).__module__.startswith("rlenv."):
            module = sys.modules[type(value).__module__].__file__
            self._take(str(Path(str(module)).relative_to(ROOT)), type(value).__name__)
        for part in parts_of(value):
            self._carriers(part, depth - 1)


def parts_of(value: Any) -> list[Any]:
    """Return what a container or a dataclass holds."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple)):
        return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, f.name, None) for f in dataclasses.fields(value)]
    return []


def show(title: str, found: Mapping[str, set[str]]) -> None:
    """Print files and the functions in them."""
    print(f"\n{title}: {len(found)} files, {sum(map(len, found.values()))} functions and classes")
    for path in sorted(found):
        print(f"  {path:<40} {', '.join(sorted(found[path]))}"[:160])


def main() -> None:
    """Measure and print both."""
    harness.parser(__doc__).parse_args()
    step = Step()
    token = Token(a_token_of_its_own(run(step)))
    run(token)
    show("one GRPO step", step.functions)
    show("a sampled token, from being drawn to the loss", token.path)


if __name__ == "__main__":
    main()
