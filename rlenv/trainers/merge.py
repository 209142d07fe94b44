"""Stage `merge`: one checkpoint out of several, by arithmetic on their weights.

- `linear`: the weighted mean of the models (model soups; Wortsman et al. 2022);
- `slerp`: on the arc between two models, tensor by tensor (Shoemake 1985);
- `task_arithmetic`: the base plus weighted task vectors, which are the differences between
  fine-tuned models and the base (Ilharco et al. 2023, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from rlenv.common.errors import UserError
from rlenv.common.plugins import short_name
from rlenv.common.settings import Settings
from rlenv.models import checkpoint
from rlenv.models.checkpoint_folder import local_checkpoint
from rlenv.models.reward_model import check_same_tokenizer
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage

Weights = Mapping[str, Tensor]

_STRAIGHT = 1e-4  # radians; below, and near half a turn, the arc's formula divides by almost 0


class MergeSettings(Settings):
    """Settings of the stage. The stage's own checkpoint takes part in every method.

    Attributes:
        method: see above. For `task_arithmetic` the stage's own checkpoint is the base.
        models: other checkpoints to their weights: an earlier stage of the run, a folder or a hub
            id. A weight is a share of the mean (`linear`), the place on the arc from the stage's
            own checkpoint to the other (`slerp`, 0 to 1), or the factor of a task vector.
        own: weight of the stage's own checkpoint, for `linear`.
        normalise: divide the weights of `linear` by their sum.
    """

    method: Literal["linear", "slerp", "task_arithmetic"] = "linear"
    models: dict[str, float] = Field(min_length=1)
    own: float = 1.0
    normalise: bool = True

    @model_validator(mode="after")
    def _fits_the_method(self) -> MergeSettings:
        if self.method == "slerp":
            if len(self.models) != 1:
                raise ValueError("slerp merges one other model; linear takes several")
            if not all(0 <= place <= 1 for place in self.models.values()):
                raise ValueError("the place on the arc of slerp is between 0 and 1")
        total = self.own + sum(self.models.values())
        if self.method == "linear" and self.normalise and abs(total) < 1e-6:
            raise ValueError("the weights add up to 0; set normalise: false, or other weights")
        return self


class MergeStage(Stage[MergeSettings]):
    """Merge checkpoints of one architecture."""

    needs: ClassVar[Artifact] = "model"
    gives: ClassVar[Artifact] = "model"
    plays: ClassVar[bool] = False
    Settings = MergeSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        for name in self.settings.models:
            if "/" in name:  # otherwise it may be a stage, which the run knows
                local_checkpoint(name, needs_chat=False)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        others = ", ".join(f"{weight:g} {name}" for name, weight in s.models.items())
        return f"{s.method.replace('_', ' ')} with {others}", "-"

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        model, tokenizer = checkpoint.load(context.source, device="cpu")
        own = dict(model.state_dict())
        others: list[tuple[Weights, float]] = []
        for name, weight in s.models.items():
            place = self._place(name, context)
            other, theirs = checkpoint.load(place, device="cpu")
            check_same_tokenizer(tokenizer, context.source, theirs, place)
            check_same_shapes(own, context.source, other.state_dict(), place)
            others.append((other.state_dict(), weight))
        if s.method == "slerp":
            merged = slerp(own, *others[0])
        elif s.method == "task_arithmetic":
            merged = task_arithmetic(own, others)
        else:
            merged = linear([(own, s.own), *others], normalise=s.normalise)
        model.load_state_dict(merged)
        checkpoint.save(model, tokenizer, context.out)
        moved = torch.stack([(merged[n].float() - own[n].float()).norm() for n in own]).norm()
        context.log(1, {"merge/distance": float(moved)})

    def _place(self, name: str, context: Context) -> str:
        """Return the checkpoint that a name stands for."""
        if name in map(short_name, context.run.settings.stages):
            if name not in context.run.finished():
                raise UserError(f"merge.models names the stage {name}, which comes after merge")
            return str(context.run.checkpoint(name))
        return name


def linear(models: list[tuple[Weights, float]], *, normalise: bool) -> dict[str, Tensor]:
    """Return sum_i w_i theta_i, over sum_i w_i if normalised.

    Args:
        models: weights of each model by name, and how much each model counts.
        normalise: divide by the sum.
    """
    total = sum(weight for _, weight in models) if normalise else 1.0
    return {
        name: _like(first, sum(theta[name].float() * (w / total) for theta, w in models))
        for name, first in models[0][0].items()
    }


def slerp(start: Weights, end: Weights, place: float) -> dict[str, Tensor]:
    """Return the weights at a place on the arc, tensor by tensor.

    With the angle o between two tensors a and b, flattened:

        (sin((1 - t) o) a + sin(t o) b) / sin(o)

    Tensors that point almost the same way, or in opposite ones, are mixed linearly.

    Args:
        start: at place 0.
        end: at place 1.
        place: t.
    """
    return {
        name: _like(a, _on_arc(a.float(), end[name].float(), place)) for name, a in start.items()
    }


def _on_arc(a: Tensor, b: Tensor, place: float) -> Tensor:
    lengths = a.norm() * b.norm()
    if lengths == 0:
        return (1 - place) * a + place * b
    cosine = ((a * b).sum() / lengths).clamp(-1, 1)
    angle = torch.acos(cosine)
    if angle < _STRAIGHT or angle > torch.pi - _STRAIGHT:
        return (1 - place) * a + place * b
    return (torch.sin((1 - place) * angle) * a + torch.sin(place * angle) * b) / torch.sin(angle)


def task_arithmetic(base: Weights, models: list[tuple[Weights, float]]) -> dict[str, Tensor]:
    """Return theta_0 + sum_i w_i (theta_i - theta_0).

    Args:
        base: theta_0.
        models: fine-tuned from it, and the factors of their task vectors.
    """
    return {
        name: _like(
            first,
            first.float() + sum(w * (theta[name].float() - first.float()) for theta, w in models),
        )
        for name, first in base.items()
    }


def check_same_shapes(ours: Weights, our_source: str, theirs: Weights, their_source: str) -> None:
    """Refuse models of different architectures.

    Raises:
        UserError: a tensor is missing in one of them, or has another shape.
    """
    for name in sorted({*ours, *theirs}):
        shapes = [tuple(w[name].shape) if name in w else None for w in (ours, theirs)]
        if shapes[0] != shapes[1]:
            has = [f"has {name} of shape {s}" if s else f"has no {name}" for s in shapes]
            raise UserError(
                f"{our_source} {has[0]} but {their_source} {has[1]}; only models of one "
                "architecture can be merged"
            )


def _like(first: Tensor, merged: Any) -> Tensor:
    whole: Tensor = merged.to(first.dtype)
    return whole
