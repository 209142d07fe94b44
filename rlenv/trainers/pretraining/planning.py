"""From a budget to a model, an amount of text, and the time they take."""

from __future__ import annotations

from dataclasses import dataclass

from rlenv.models import presets
from rlenv.models.presets import PRESETS, Preset
from rlenv.trainers.pretraining import throughput
from rlenv.trainers.pretraining.scaling import Optimum, ScalingLaw
from rlenv.trainers.pretraining.throughput import Setting

_LARGEST = 60e6  # parameters of a model that is measured; beyond it the speed is taken as the same
_GUESS = 1e14  # FLOP, to begin the search with


@dataclass(frozen=True)
class TrainingPlan:
    """A budget spent.

    Attributes:
        flops: the budget.
        optimum: where the law would spend it.
        shape: the model.
        parameters: of the model.
        tokens: to train on.
        flops_per_second: measured in training, 6 for each parameter and token.
        hours: that it takes here.
        peak: FLOP/s of this machine's matrix products alone.
    """

    flops: float
    optimum: Optimum
    shape: Preset
    parameters: int
    tokens: int
    flops_per_second: float
    hours: float
    peak: float

    @property
    def preset(self) -> str | None:
        """The name of the shape, if it has one."""
        return next((name for name, shape in PRESETS.items() if shape == self.shape), None)


def make_plan(
    law: ScalingLaw, setting: Setting, *, flops: float | None = None, hours: float | None = None
) -> TrainingPlan:
    """Plan for a number of operations, or for a time on this machine.

    Args:
        law: decides how large a model is.
        setting: of the training steps.
        flops: the budget, or
        hours: how long to train.
    """
    if flops is None:
        assert hours is not None
        # the speed depends on the model, the model on the budget, the budget on the speed
        flops = _GUESS
        for _ in range(2):
            flops = _speed(_shape(law, flops, setting), setting, 3.0) * hours * 3600
    optimum, shape = law.optimum(flops), _shape(law, flops, setting)
    parameters = shape.parameters(setting.vocabulary)
    speed = _speed(shape, setting, 5.0)
    tokens = round(optimum.tokens)
    return TrainingPlan(
        flops=flops,
        optimum=optimum,
        shape=shape,
        parameters=parameters,
        tokens=tokens,
        flops_per_second=speed,
        hours=6 * parameters * tokens / speed / 3600,
        peak=throughput.peak(setting.device, bf16=setting.bf16),
    )


def _shape(law: ScalingLaw, flops: float, setting: Setting) -> Preset:
    return presets.shape_of_size(law.optimum(flops).parameters, setting.vocabulary)


def _speed(shape: Preset, setting: Setting, seconds: float) -> float:
    """Return the FLOP/s of training a model, or one of the largest that is measured."""
    if shape.parameters(setting.vocabulary) > _LARGEST:
        shape = presets.shape_of_size(_LARGEST, setting.vocabulary)
    speed = throughput.tokens_per_second(shape, setting, seconds)
    return 6 * shape.parameters(setting.vocabulary) * speed
