"""How good a reward model is on pairs it never saw, how sure that is, and what it is biased to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rlenv.data.preferences import Pair
from rlenv.evaluation import pass_at_1
from rlenv.models.reward_model import RewardModel
from rlenv.trainers.preference.tokens import TokenPair

_BINS = 5


def measure(model: RewardModel, pairs: Sequence[tuple[Pair, TokenPair]]) -> Report:
    """Score held-out pairs, each with its tokens."""
    chosen = [t.prompt + t.chosen for _, t in pairs]
    rejected = [t.prompt + t.rejected for _, t in pairs]
    n = len(pairs)
    scores = model.scores([*chosen, *rejected])
    swapped = model.scores([*rejected, *chosen])
    return Report(
        [pair for pair, _ in pairs],
        chosen=scores[:, :n],
        rejected=scores[:, n:],
        swapped=swapped[:, n:] - swapped[:, :n],
        lengths=torch.tensor([[len(t.chosen), len(t.rejected)] for _, t in pairs]),
    )


class Report:
    """What the scores of held-out pairs say.

    Args:
        pairs: N of them.
        chosen: (M, N) scores of the chosen replies, by each member of an ensemble of M.
        rejected: (M, N) scores of the rejected ones.
        swapped: (M, N) differences of the scores when the rejected replies were scored first.
        lengths: (N, 2) tokens of the chosen and of the rejected reply.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        chosen: Tensor,
        rejected: Tensor,
        swapped: Tensor,
        lengths: Tensor,
    ) -> None:
        self.pairs, self.chosen, self.rejected = pairs, chosen, rejected
        self.swapped, self.lengths = swapped, lengths
        self.margin = (chosen - rejected).mean(0)  # (N,) by which the ensemble prefers the chosen

    def figures(self) -> dict[str, Any]:
        """Return everything as plain values, for a JSON file."""
        found: dict[str, Any] = {
            "pairs": len(self.pairs),
            "accuracy": self.accuracy(),
            "log_loss": float(-F.logsigmoid(self.margin).mean()),
            "mean_score": float(torch.cat([self.chosen, self.rejected]).mean()),
            "score_std": float(torch.cat([self.chosen, self.rejected]).std()),
            "calibration": self.calibration(),
            "length": self.length_bias(),
            "position": self.position_bias(),
        }
        if len(self.chosen) > 1:
            found["ensemble"] = self.disagreement()
        return found

    def accuracy(self, some: Tensor | None = None) -> dict[str, float]:
        """Return the share of pairs that are ordered right, with its 95% interval.

        It is the mean over prompts, as the pairs of a prompt are no independent evidence; see
        `rlenv.evaluation.pass_at_1`. Equal scores are wrong.

        Args:
            some: (N,) of bool, which pairs; all if left out.
        """
        of_prompt: dict[str, list[bool]] = {}
        for number, pair in enumerate(self.pairs):
            if some is None or some[number]:
                of_prompt.setdefault(pair.task.key, []).append(bool(self.margin[number] > 0))
        if not of_prompt:
            return {"pairs": 0}
        estimate = pass_at_1(list(of_prompt.values()))
        return {
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "pairs": sum(map(len, of_prompt.values())),
        }

    def calibration(self) -> dict[str, Any]:
        """Compare how sure the model is of its choices with how often they are right.

        Under Bradley-Terry a margin d means a chance of sigmoid(|d|) that the choice is right
        (Guo et al. 2017 for the expected calibration error).
        """
        sure = torch.sigmoid(self.margin.abs())
        right = (self.margin > 0).float()
        bin_of = ((sure - 0.5) * 2 * _BINS).long().clamp(max=_BINS - 1)
        bins = []
        for number in range(_BINS):
            inside = bin_of == number
            count = int(inside.sum())
            if count:
                means = {"sure": float(sure[inside].mean()), "right": float(right[inside].mean())}
                bins.append({"pairs": count, **means})
        error = sum(b["pairs"] * abs(b["sure"] - b["right"]) for b in bins) / len(self.pairs)
        return {"expected_error": error, "bins": bins}

    def length_bias(self) -> dict[str, Any]:
        """Say whether the model likes long replies more than people do.

        `prefers_longer` and `people_prefer_longer` are shares of the pairs of different lengths;
        `correlation` is between the differences in length and in score.
        """
        more = (self.lengths[:, 0] - self.lengths[:, 1]).float()
        longer, shorter = more > 0, more < 0
        different = longer | shorter
        if not different.any():
            return {}
        prefers = torch.where(longer, self.margin > 0, self.margin < 0)[different].float().mean()
        return {
            "prefers_longer": float(prefers),
            "people_prefer_longer": float(longer[different].float().mean()),
            "correlation": _correlation(more, self.margin),
            "accuracy_chosen_longer": self.accuracy(longer),
            "accuracy_chosen_shorter": self.accuracy(shorter),
        }

    def position_bias(self) -> dict[str, float]:
        """Say whether it matters which reply of a pair is scored first.

        A model that scores each reply by itself has none, except for rounding; one that has reads
        its padding.
        """
        swapped = self.swapped.mean(0)
        return {
            "changed": float(((self.margin > 0) != (swapped > 0)).float().mean()),
            "largest_difference": float((self.margin - swapped).abs().max()),
        }

    def disagreement(self) -> dict[str, Any]:
        """Say how far the members of an ensemble are apart, and what their agreement is worth."""
        votes = (self.chosen > self.rejected).float().mean(0)  # (N,) share of members
        agreed = (votes == 0) | (votes == 1)
        single = (self.chosen > self.rejected).float().mean(1)
        return {
            "members": len(self.chosen),
            "member_accuracy": single.tolist(),
            "score_spread": float(torch.stack([self.chosen, self.rejected]).std(1).mean()),
            "disputed": float((~agreed).float().mean()),
            "accuracy_agreed": self.accuracy(agreed),
            "accuracy_disputed": self.accuracy(~agreed),
        }


def sentence(figures: dict[str, Any]) -> str:
    """Return the report's gist."""
    accuracy, length = figures["accuracy"], figures["length"]
    words = (
        f"{accuracy['value']:.1%} of {figures['pairs']} held-out pairs right "
        f"[{accuracy['low']:.1%}, {accuracy['high']:.1%}], "
        f"calibration error {figures['calibration']['expected_error']:.3f}"
    )
    if length:
        words += (
            f", prefers the longer reply in {length['prefers_longer']:.0%} "
            f"(people: {length['people_prefer_longer']:.0%})"
        )
    if "ensemble" in figures:
        words += f", members disagree on {figures['ensemble']['disputed']:.0%}"
    return words


def _correlation(x: Tensor, y: Tensor) -> float:
    """Pearson's; 0 where one of them does not vary."""
    if len(x) < 2 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([x, y]))[0, 1])
