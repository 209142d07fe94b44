"""Held-out evaluation while a policy trains, and the weights that did best in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.common.files import write_atomically
from rlenv.common.settings import Settings
from rlenv.core.trajectory import Group
from rlenv.engines.base import Sampling
from rlenv.evaluation import mean_reward

REWARD = "held_out/reward"
KEPT = "kept.json"  # in a stage's folder, of which step its weights are


class EvalSampling(Settings):
    """How a policy is sampled in held-out evaluation; what is left out is as in training.

    Attributes:
        samples: of each task.
        temperature: 0 is greedy.
        max_tokens: of a reply.
        top_k, top_p, min_p: see `rlenv.engines.base.Sampling`.
    """

    samples: int = Field(default=1, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)

    def sampling(self, *, temperature: float, max_tokens: int) -> Sampling:
        """Return it, with these where it says nothing itself."""
        return Sampling(
            temperature=temperature if self.temperature is None else self.temperature,
            max_tokens=max_tokens if self.max_tokens is None else self.max_tokens,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
        )


def component(name: str) -> str:
    """Return the metric that is the mean of a component of the reward."""
    return f"held_out/rewards/{name}"


def figures(groups: Sequence[Group], solved_at: float) -> dict[str, float]:
    """Return what held-out groups come to.

    Args:
        groups: of the validation split.
        solved_at: the reward from which an episode counts as solved.

    Returns:
        The mean reward, the share solved and the mean of each component, of what could be judged,
        and the shares that were cut off or could not be judged.
    """
    played = [t for group in groups for t in group.trajectories]
    judged = [t for t in played if t.reward.judged]
    found = {
        REWARD: mean_reward(groups),
        "held_out/truncated": sum(t.truncated for t in played) / len(played),
        "held_out/grader_errors": 1 - len(judged) / len(played),
    }
    if judged:
        found["held_out/solved"] = sum(t.reward.value >= solved_at for t in judged) / len(judged)
    for name in judged[0].reward.components if judged else ():
        values = [t.reward.components[name] for t in judged if name in t.reward.components]
        found[component(name)] = sum(values) / len(values)
    return found


def check_measured(setting: str, metric: str, metrics: Mapping[str, float]) -> None:
    """Refuse a setting that names a component which the environment does not measure.

    Raises:
        UserError: it is not among the metrics of a held-out evaluation.
    """
    if metric in metrics or math.isnan(metrics[REWARD]):  # nothing could be judged this time
        return
    names = [name.removeprefix(component("")) for name in metrics if name.startswith(component(""))]
    raise UserError(
        f"{setting} names {metric.removeprefix(component(''))!r}, but the components of the reward "
        f"are {', '.join(names) or 'none'}."
    )


class BestCheckpoint:
    """The weights with the highest held-out reward so far, on the disk.

    A stage that goes on from an earlier step finds them again as it gets there, so that they need
    no place in its state.

    Args:
        folder: of the stage's interim state.
        metric: what decides which weights are best: the reward, or a component of it.
    """

    def __init__(self, folder: Path, metric: str = REWARD) -> None:
        self.metric = metric
        self._weights, self._record = folder / "best.pt", folder / "best.json"

    @property
    def step(self) -> int | None:
        """The step that the weights are of; None where there are none."""
        record = self._read()
        return None if record is None else int(record["step"])

    @property
    def reward(self) -> float:
        """What the weights reached by the metric; minus infinity where there are none."""
        record = self._read()
        return float("-inf") if record is None else float(record[self.metric])

    def rewind(self, step: int) -> None:
        """Forget the weights if they are of a later step than that."""
        kept = self.step
        if kept is not None and kept > step:
            self._record.unlink()

    def offer(self, step: int, metrics: Mapping[str, float], weights: Mapping[str, Any]) -> bool:
        """Keep weights if they did better than all before; returns whether they did."""
        check_measured("keep_best", self.metric, metrics)
        if not metrics.get(self.metric, math.nan) > self.reward:
            return False
        self._record.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._weights.with_suffix(".new")
        torch.save({name: t.detach().cpu() for name, t in weights.items()}, fresh)
        self._record.unlink(missing_ok=True)  # a record without its weights would be worse
        fresh.replace(self._weights)
        write_atomically(
            self._record, json.dumps({"step": step, self.metric: metrics[self.metric]})
        )
        return True

    def load(self) -> dict[str, Any] | None:
        """Return the weights; None where no evaluation could be judged."""
        if self.step is None:
            return None
        found: dict[str, Any] = torch.load(self._weights, map_location="cpu", weights_only=True)
        return found

    def summary(self, stage: str) -> str:
        """Return in a sentence which weights a stage leaves."""
        if self.step is None:
            return f"{stage:<9} leaves the last weights: no held-out task could be judged"
        return (
            f"{stage:<9} leaves the weights of step {self.step}, whose {self.metric} of "
            f"{self.reward:.3f} was the highest"
        )

    def write_metadata(self, folder: Path) -> None:
        """Note in a checkpoint's folder of which step its weights are, if they are kept ones."""
        if self.step is not None:
            (folder / KEPT).write_text(self._record.read_text())

    def _read(self) -> dict[str, Any] | None:
        if not (self._record.exists() and self._weights.exists()):
            return None
        record: dict[str, Any] = json.loads(self._record.read_text())
        return record
