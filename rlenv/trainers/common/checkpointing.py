"""Steps that survive an interruption: the state is saved atomically and found again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from rlenv.common.files import folder_atomically, temporary_of
from rlenv.run.distributed import Processes
from rlenv.run.stage import Context

log = logging.getLogger(__name__)

_DIGESTS = "digests.json"  # SHA-256 of every other file of a save
_KEPT = 2  # one more than is needed, in case the newest is damaged


class Stateful(Protocol):
    """What can be saved and restored: a model, an optimizer."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state: Any) -> Any:
        """Restore it."""


class State(Protocol):
    """All that a stage needs to go on."""

    def save(self, folder: Path) -> None:
        """Write it into a folder; every process of the run is called."""

    def load(self, folder: Path) -> None:
        """Go on from what was written there."""


class CombinedState:
    """The states of a model, an optimizer and the like, as one.

    Args:
        parts: what has a state, by its name in the save.
    """

    def __init__(self, parts: Mapping[str, Stateful]) -> None:
        self.parts = parts

    def save(self, folder: Path) -> None:
        """See `State.save`."""
        torch.save({name: part.state_dict() for name, part in self.parts.items()}, folder / "state")

    def load(self, folder: Path) -> None:
        """See `State.load`."""
        saved = torch.load(folder / "state", map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])


class AcceleratedState:
    """The state of all that an `Accelerator` has prepared, however it is spread over processes.

    Args:
        accelerator: what prepared the models and the optimizer.
        *others: whose states are plain values, the same in every process.
    """

    def __init__(self, accelerator: Any, *others: Stateful) -> None:
        self.accelerator = accelerator
        self.others = others

    def save(self, folder: Path) -> None:
        """See `State.save`."""
        self.accelerator.save_state(str(folder), safe_serialization=False)
        if self.accelerator.is_main_process:
            torch.save([other.state_dict() for other in self.others], folder / "others")

    def load(self, folder: Path) -> None:
        """See `State.load`."""
        self.accelerator.load_state(str(folder))
        saved = torch.load(folder / "others", weights_only=True)
        for other, state in zip(self.others, saved, strict=True):
            other.load_state_dict(state)


def resumable_steps(
    context: Context, total: int, state: State, *, save_every: int
) -> Iterator[int]:
    """Yield step numbers from where the stage stands, and save its state as it goes.

    What a step draws at random must follow from the seed and the step number alone; then a
    stage that was stopped or killed, at any moment, and resumed ends in the same bytes as one
    that was not.

    Args:
        context: of the stage.
        total: number of steps.
        state: what to save.
        save_every: steps between saves; a save is also made when the user stops the run.

    Yields:
        The step number, from 0.

    Raises:
        Interrupted: the user stopped the run; the state was saved.
    """
    start = restore(context.state, state, context.processes)
    context.forget_after(start)
    for step in range(start, total):
        yield step
        stop = context.processes.any(context.stop.requested)
        if stop or ((step + 1) % save_every == 0 and step + 1 < total):
            save(context.state, step + 1, state, context.processes)
        if stop:
            context.interrupt(step + 1)


def save(folder: Path, step: int, state: State, processes: Processes) -> None:
    """Save a state so that a crash leaves either the whole of it or nothing.

    Args:
        folder: that holds the saves of a stage.
        step: steps done.
        state: of this process; all of them write into one folder.
        processes: of the run.
    """
    target = folder / f"step-{step:08d}"
    with contextlib.ExitStack() as stack:
        if processes.main:
            stack.enter_context(folder_atomically(target))
        processes.wait()
        _write(state, temporary_of(target))
        processes.wait()
        if processes.main:
            digests = json.dumps(_digests(temporary_of(target)))
            (temporary_of(target) / _DIGESTS).write_text(digests)
    if processes.main:
        for old in sorted(folder.glob("step-*"))[:-_KEPT]:
            shutil.rmtree(old)
    processes.wait()


def restore(folder: Path, state: State, processes: Processes) -> int:
    """Go on from the newest save that is whole.

    Returns:
        Steps done; 0 where there is no save.
    """
    name = processes.from_main(_newest(folder) if processes.main else None)
    if name is None:
        return 0
    state.load(folder / name)
    return int(name.removeprefix("step-"))


def _newest(folder: Path) -> str | None:
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            whole = json.loads((path / _DIGESTS).read_text()) == _digests(path)
        except (OSError, ValueError):
            whole = False
        if whole:
            return path.name
        log.warning("%s is damaged; going back to the save before it", path)
        shutil.rmtree(path)
    return None


def _write(state: State, folder: Path) -> None:
    try:
        state.save(folder)
    except RuntimeError as error:  # how torch's writer reports a full disk
        if shutil.disk_usage(folder).free < 2**20:
            raise OSError(errno.ENOSPC, "no space left", str(folder)) from error
        raise


def _digests(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != _DIGESTS]
    return {str(p.relative_to(folder)): _digest(p) for p in files}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
