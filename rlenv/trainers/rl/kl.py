"""Staying near the reference policy: estimators of the divergence, and how much it costs."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from rlenv.common.settings import Settings
from rlenv.trainers.rl.shapes import PerToken

Estimator = Literal["k1", "k2", "k3"]


class KLSettings(Settings):
    """How the KL divergence from the reference policy is charged.

    Attributes:
        coefficient: beta; 0 leaves it out.
        estimator: `k1`, `k2` or `k3`, see `divergence`; if left out `k3` in the loss and `k1` in
            the reward.
        place: `loss` adds it to the loss of each token (Shao et al. 2024, eq. 3), `reward` takes it
            off the reward of each token (Ziegler et al. 2019, eq. 2).
        target: steer the coefficient so that the divergence stays near this, in nats a token.
        gain: how fast the coefficient follows.
        reference: keep a copy of the policy as it began. Without one, and without `lora`, the
            divergence can be neither charged nor logged, and the memory of a model is saved.
    """

    coefficient: float = Field(default=0.0, ge=0)
    estimator: Estimator | None = None
    place: Literal["loss", "reward"] = "loss"
    target: float | None = Field(default=None, gt=0)
    gain: float = Field(default=0.1, gt=0)
    reference: bool = True

    @property
    def charged(self) -> Estimator:
        """The estimator that is charged.

        In the reward k3 would cost a token e^gap, thousands where the policy all but forgot what
        the reference says; k1 costs it the gap, as in the paper.
        """
        return self.estimator or ("k1" if self.place == "reward" else "k3")


def divergence(logprobs: PerToken, reference: PerToken, estimator: Estimator) -> PerToken:
    """Estimate KL(policy, reference) from one sample of the policy (Schulman 2020).

    `k1` is unbiased and may be negative; `k2` is biased and its gradient is that of the
    divergence; `k3` is unbiased, never negative, and varies less (Shao et al. 2024, eq. 4). As a
    term of the loss `k1` pulls nowhere: its gradient is 0 on average.

    Args:
        logprobs: of the sampled tokens under the policy, any shape.
        reference: under the reference.
        estimator: which of the three.
    """
    gap = reference - logprobs
    if estimator == "k1":
        return -gap
    if estimator == "k2":
        return gap**2 / 2
    return torch.expm1(gap) - gap


class KLCoefficient:
    """The coefficient, fixed or following a target (Ziegler et al. 2019, section 2.2).

    Args:
        settings: where it starts, and where it should keep the divergence.

    Attributes:
        value: the present one.
    """

    def __init__(self, settings: KLSettings) -> None:
        self.settings = settings
        self.value = settings.coefficient

    def follow(self, measured: float) -> None:
        """Move after a step in which the divergence was measured, in nats a token."""
        s = self.settings
        if s.target is not None:
            error = max(-0.2, min(0.2, measured / s.target - 1))
            self.value *= 1 + s.gain * error

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain values."""
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.value = float(state["value"])
