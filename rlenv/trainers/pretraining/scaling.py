"""Scaling laws: how large a model, and on how much text, a compute budget is best spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LawName = Literal["epoch", "hoffmann"]


@dataclass(frozen=True)
class Optimum:
    """Where a budget is best spent.

    Attributes:
        parameters: of the model, embeddings included.
        tokens: to train it on.
        loss: predicted, in nats a token of the text and tokenizer that the law was fitted on.
    """

    parameters: float
    tokens: float
    loss: float

    @property
    def ratio(self) -> float:
        """Tokens per parameter."""
        return self.tokens / self.parameters


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, eq. 2).

    Attributes:
        source: where the constants come from.
        a, b, e: A, B and E.
        alpha, beta: the exponents.
    """

    source: str
    a: float
    b: float
    e: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Return the predicted loss, in nats a token."""
        return float(self.e + self.a / parameters**self.alpha + self.b / tokens**self.beta)

    def optimum(self, flops: float) -> Optimum:
        """Return where the loss is lowest for 6 N D = flops (eq. 4).

        Args:
            flops: floating-point operations of the whole training.
        """
        total = self.alpha + self.beta
        g = (self.alpha * self.a / (self.beta * self.b)) ** (1 / total)
        parameters = g * (flops / 6) ** (self.beta / total)
        tokens = flops / 6 / parameters
        return Optimum(parameters, tokens, self.loss(parameters, tokens))


LAWS: dict[LawName, ScalingLaw] = {
    # the fit of Chinchilla's third approach repeated on data read off its figures
    "epoch": ScalingLaw(
        "Epoch AI (Besiroglu et al. 2024, arXiv 2404.10102)",
        a=482.01,
        b=2085.43,
        e=1.8172,
        alpha=0.3478,
        beta=0.3658,
    ),
    # as rounded in the paper; it asks for more text than the paper's other two approaches
    "hoffmann": ScalingLaw(
        "Hoffmann et al. 2022, arXiv 2203.15556, eq. 10",
        a=406.4,
        b=410.7,
        e=1.69,
        alpha=0.34,
        beta=0.28,
    ),
}
