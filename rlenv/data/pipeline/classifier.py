"""A small text classifier: logistic regression on hashed words and pairs of words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlenv.common.errors import UserError
from rlenv.common.files import folder_atomically
from rlenv.data.ngrams import ngrams
from rlenv.data.word_hashes import WordSequence

BUCKETS = 1 << 18
PASSAGE = 300  # words an example, so that long documents do not count as one
_MOST = 20_000  # passages a class
_HELD_OUT = 5  # one passage in so many is kept for the evaluation
_L2 = 1e-4

Features = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True)
class HeldOutScores:
    """How a classifier does on passages it was not trained on.

    Attributes:
        positive: number of passages.
        negative: number of passages.
        accuracy: share on the right side of 0.5, the mean over the two classes.
        auc: area under the ROC curve: how often a positive passage scores above a negative one.
    """

    positive: int
    negative: int
    accuracy: float
    auc: float


class Classifier:
    """Says how much a text is like one set of texts and unlike another.

    Args:
        weights: (BUCKETS,) of the hashed features.
        bias: added to their sum.
        held_out: its evaluation.
        trained_on: what the texts were, for the record.
    """

    def __init__(
        self,
        weights: NDArray[np.float32],
        bias: float,
        held_out: HeldOutScores,
        trained_on: dict[str, list[str]],
    ) -> None:
        self.weights = weights
        self.bias = bias
        self.held_out = held_out
        self.trained_on = trained_on

    def score(self, words: WordSequence) -> float:
        """Return the probability, between 0 and 1, that a text is of the positive kind."""
        places, values = features(words.folded)
        return float(1 / (1 + np.exp(-(self.weights[places] @ values + self.bias))))

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `classifier.json`, atomically."""
        from safetensors.numpy import save_file

        record = {
            "features": f"hashed words and pairs of words, {BUCKETS} buckets",
            "held_out": asdict(self.held_out),
            "trained_on": self.trained_on,
        }
        with folder_atomically(folder) as made:
            tensors = {"weights": self.weights, "bias": np.array([self.bias], np.float32)}
            save_file(tensors, made / "weights.safetensors")
            (made / "classifier.json").write_text(json.dumps(record, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read what `save` wrote.

        Raises:
            UserError: the folder holds no classifier.
        """
        from safetensors.numpy import load_file

        if not (folder / "classifier.json").is_file():
            raise UserError(
                f"{folder} holds no classifier: there is no classifier.json in it; give a folder "
                "that a run with a step quality or safety has left, or texts to train one on"
            )
        record = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "weights.safetensors")
        held_out = HeldOutScores(**record["held_out"])
        return cls(tensors["weights"], float(tensors["bias"][0]), held_out, record["trained_on"])


def features(folded: NDArray[np.uint64]) -> Features:
    """Return the buckets that the words and pairs of words of a text fall into, and their values.

    Args:
        folded: (words,) see `WordSequence.folded`.

    Returns:
        places (n,) and values (n,): 1 + log of the number of occurrences, scaled to norm 1.
    """
    both = np.concatenate([folded, ngrams(folded, 2)])
    # the high bits of a product of hashes are the well mixed ones
    places, counts = np.unique((both >> np.uint64(46)).astype(np.int64), return_counts=True)
    values = 1 + np.log(counts.astype(np.float32))
    norm = np.float32(max(1e-12, float(np.linalg.norm(values))))
    return places, (values / norm).astype(np.float32)


def train(
    positive: Iterable[str], negative: Iterable[str], trained_on: dict[str, list[str]]
) -> Classifier:
    """Train a classifier, and evaluate it on passages that are held out.

    The held-out passages are the last fifth of each document that is long enough to have five,
    and every fifth of the others.

    Args:
        positive: texts that should score near 1.
        negative: texts that should score near 0.
        trained_on: says what the texts are.

    Raises:
        UserError: one side has fewer than ten passages.
    """
    examples: dict[bool, list[Features]] = {True: [], False: []}  # held out or not
    labels: dict[bool, list[float]] = {True: [], False: []}
    for label, texts in ((1.0, positive), (0.0, negative)):
        found = 0
        for passage, kept_out in _passages(texts):
            if found == _MOST:
                break
            examples[kept_out].append(features(passage))
            labels[kept_out].append(label)
            found += 1
        if found < 10:
            raise UserError(
                f"a classifier needs ten passages of {PASSAGE} words of each kind, but "
                f"{' and '.join(trained_on['positive' if label else 'negative'])} hold {found}"
            )
    weights, bias = _fit(examples[False], np.array(labels[False], np.float32))
    scores = np.array([weights[places] @ values + bias for places, values in examples[True]])
    held_out = _evaluate(scores, np.array(labels[True]) == 1)
    return Classifier(weights, bias, held_out, trained_on)


def _passages(texts: Iterable[str]) -> Iterable[tuple[NDArray[np.uint64], bool]]:
    number = 0
    for text in texts:
        words = WordSequence(text.split()).folded
        cuts = [words[i : i + PASSAGE] for i in range(0, len(words), PASSAGE)]
        if len(cuts) > 1 and len(cuts[-1]) < PASSAGE // 2:
            cuts.pop()
        for place, passage in enumerate(cuts):
            if len(cuts) >= _HELD_OUT:
                yield passage, place >= len(cuts) - len(cuts) // _HELD_OUT
            elif len(passage):
                number += 1
                yield passage, number % _HELD_OUT == 0


def _fit(
    examples: Sequence[Features], labels: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """Minimise the regularised log loss, both classes weighing the same. It is convex: no seed."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    places = torch.from_numpy(np.concatenate([p for p, _ in examples]))
    values = torch.from_numpy(np.concatenate([v for _, v in examples]))
    starts = torch.from_numpy(np.cumsum([0] + [len(p) for p, _ in examples[:-1]]))
    targets = torch.from_numpy(labels)
    share = float(labels.mean())
    balance = torch.where(targets == 1, 0.5 / share, 0.5 / (1 - share))
    weights = torch.zeros(BUCKETS, 1, requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer: Any = torch.optim.LBFGS([weights, bias], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        sums = F.embedding_bag(places, weights, starts, mode="sum", per_sample_weights=values)
        logits = sums.squeeze(1) + bias
        total = F.binary_cross_entropy_with_logits(logits, targets, weight=balance)
        total = total + _L2 / 2 * weights.square().sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)
    return weights.detach().squeeze(1).numpy(), float(bias.detach())


def _evaluate(logits: NDArray[np.float64], positive: NDArray[np.bool_]) -> HeldOutScores:
    right = (logits > 0) == positive
    # the rank-sum form of the area under the curve; equal scores share their ranks
    _, which, counts = np.unique(logits, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which.ravel()]
    p, n = int(positive.sum()), int((~positive).sum())
    area = (ranks[positive].sum() - p * (p + 1) / 2) / max(1, p * n)
    accuracy = (right[positive].mean() + right[~positive].mean()) / 2
    return HeldOutScores(p, n, round(float(accuracy), 4), round(float(area), 4))
