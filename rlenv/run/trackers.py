"""Metrics to TensorBoard, Weights & Biases and trackio, beside `metrics.jsonl`.

Each stage is a run of its own there, since it counts steps of its own; metrics keep their names, so
that stages can be compared with each other and with TRL's runs. An interrupted stage goes on in the
run that it began.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from rlenv.common.errors import UserError
from rlenv.common.extras import require
from rlenv.common.files import write_atomically

_PROJECT = "rlenv"


class Tracker(Protocol):
    """One place that metrics go to."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a step, counted from 1."""

    def finish(self) -> None:
        """Send what is left."""


class TensorBoard:
    """Event files in `RUN/tensorboard/STAGE`, for `tensorboard --logdir RUN/tensorboard`."""

    def __init__(self, folder: Path, stage: str, config: Mapping[str, Any]) -> None:
        self._folder = folder / "tensorboard" / stage
        self._config = config
        self._writer: Any = None

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # what an interrupted stage had written of this step and later ones is hidden
            self._writer = SummaryWriter(str(self._folder), purge_step=step)
            self._writer.add_text("config", f"```json\n{json.dumps(self._config, indent=2)}\n```")
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """See `Tracker.finish`."""
        if self._writer is not None:
            self._writer.close()


class WandB:
    """A run of Weights & Biases; `WANDB_PROJECT`, `WANDB_MODE` and the like hold as always."""

    def __init__(self, folder: Path, stage: str, config: Mapping[str, Any]) -> None:
        import wandb

        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", _PROJECT),
                group=folder.name,
                name=f"{folder.name}-{stage}",
                id=f"{_own_id(folder)}-{stage}",
                resume="allow",
                config=dict(config),
                dir=str(folder),
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.errors.Error as error:
            raise UserError(
                f"Weights & Biases did not start ({' '.join(str(error).split())}); log in with: "
                "wandb login, or set WANDB_MODE=offline, or leave wandb out of report_to"
            ) from None

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.log`. Steps that were sent before an interruption are not sent again."""
        if step >= self._run.step:
            self._run.log(dict(metrics), step=step, commit=True)

    def finish(self) -> None:
        """See `Tracker.finish`."""
        self._run.finish()


class Trackio:
    """A run of trackio, for `trackio show`; `TRACKIO_PROJECT` and the like hold as always."""

    def __init__(self, folder: Path, stage: str, config: Mapping[str, Any]) -> None:
        import trackio

        with _hushed():
            self._run = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", _PROJECT),
                group=folder.name,
                name=f"{folder.name}-{stage}-{_own_id(folder)}",
                resume="allow",
                config=dict(config),
                embed=False,
            )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(metrics), step=step)

    def finish(self) -> None:
        """See `Tracker.finish`."""
        with _hushed():
            self._run.finish()


def _hushed() -> AbstractContextManager[Any]:
    """Keep trackio's greetings from between the lines of progress."""
    return contextlib.redirect_stdout(io.StringIO())


TRACKERS: dict[str, type[Any]] = {"tensorboard": TensorBoard, "wandb": WandB, "trackio": Trackio}


def check_installed(names: Sequence[str]) -> None:
    """Raise a `UserError` where the package of a tracker is not installed."""
    for name in names:
        require(name, f"report_to: {name}", otherwise="leave it out of report_to")


@contextlib.contextmanager
def tracking(
    names: Sequence[str], folder: Path, stage: str, config: Mapping[str, Any]
) -> Iterator[list[Tracker]]:
    """Yield the trackers of a stage; what they hold is sent in the end, however that comes.

    Args:
        names: words of `TRACKERS`.
        folder: the run's.
        stage: its name.
        config: of the run, as plain values.

    Raises:
        UserError: one of them did not start.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Tracker] = []
        for name in names:
            opened.append(TRACKERS[name](folder, stage, config))
            stack.callback(opened[-1].finish)
        yield opened


def _own_id(folder: Path) -> str:
    """Return what tells this run from others of the same name, now and after an interruption."""
    path = folder / "tracked.json"
    if not path.exists():
        write_atomically(path, json.dumps({"id": uuid.uuid4().hex[:12]}))
    return str(json.loads(path.read_text())["id"])
