"""Steps that survive an interruption: the state is saved atomically and found again."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from rlenv.stage import Context

log = logging.getLogger(__name__)


class Stateful(Protocol):
    """What can be saved and restored: a model, an optimizer."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state: Any) -> Any:
        """Restore it."""


def resumable_steps(
    context: Context, total: int, parts: Mapping[str, Stateful], *, save_every: int
) -> Iterator[int]:
    """Yield step numbers from where the stage stands, and save its state as it goes.

    What a step draws at random must follow from the seed and the step number alone; then a
    stage that was stopped and resumed ends in the same bytes as one that was not.

    Args:
        context: of the stage.
        total: number of steps.
        parts: what to save, by name.
        save_every: steps between saves; a save is also made when the user stops the run.

    Yields:
        The step number, from 0.

    Raises:
        Interrupted: the user stopped the run; the state was saved.
    """
    start = _restore(context.state, parts)
    context.forget_after(start)
    for step in range(start, total):
        yield step
        if context.stop.requested or ((step + 1) % save_every == 0 and step + 1 < total):
            _save(context.state, step + 1, parts)
        if context.stop.requested:
            context.interrupt(step + 1)


def _save(folder: Path, step: int, parts: Mapping[str, Stateful]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        try:
            torch.save({name: part.state_dict() for name, part in parts.items()}, file)
        except RuntimeError as error:  # how torch's writer reports a full disk
            if shutil.disk_usage(folder).free < 2**20:
                raise OSError(errno.ENOSPC, "no space left", str(path)) from error
            raise
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for old in sorted(folder.glob("step-*.pt"))[:-2]:  # one more is kept in case this is damaged
        old.unlink()


def _restore(folder: Path, parts: Mapping[str, Stateful]) -> int:
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 whatever a damaged file makes torch raise
            log.warning("%s is damaged (%s); going back to the save before it", path, error)
            path.unlink()
            continue
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        return int(path.stem.removeprefix("step-"))
    return 0
