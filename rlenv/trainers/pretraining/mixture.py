"""Which source each row comes from: mixtures that change from phase to phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlenv.trainers.pretraining.documents import Stream


class Mixture:
    """Cuts batches out of the streams of several sources, in the shares of the current phase.

    Shares are kept exactly, not on average: each row goes to the source that is furthest behind
    its share. The state is how far each source has come.

    Args:
        streams: name to stream.
        phases: in order, each its share of the steps and the shares of its sources, which add up
            to 1.
        steps: of the whole run.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        phases: Sequence[tuple[float, Mapping[str, float]]],
        steps: int,
    ) -> None:
        self.streams = streams
        self._shares = [dict(sources) for _, sources in phases]
        self._ends = np.cumsum([share for share, _ in phases]) * steps
        self.tokens = dict.fromkeys(streams, 0)
        self._behind = dict.fromkeys(streams, 0.0)

    def shares(self, step: int) -> dict[str, float]:
        """Return the share of each source in a step, from 0."""
        phase = int((self._ends < step + 0.5).sum())
        return self._shares[min(phase, len(self._shares) - 1)]

    def draw(
        self, step: int, rows: int, length: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Cut the batch of a step.

        Args:
            step: from 0.
            rows: how many.
            length: tokens a row. The last one of a row is also the first of the next row of its
                source, so that every token is predicted once an epoch.

        Returns:
            tokens (rows, length) and the numbers of their documents (rows, length).
        """
        shares = self.shares(step)
        cuts = []
        for _ in range(rows):
            for name, share in shares.items():
                self._behind[name] += share
            name = max(shares, key=self._behind.__getitem__)
            self._behind[name] -= 1
            cuts.append(self.streams[name].cut(self.tokens[name], length))
            self.tokens[name] += length - 1
        tokens, documents = zip(*cuts, strict=True)
        return np.stack(tokens), np.stack(documents)

    def epochs(self) -> dict[str, float]:
        """Return how many times each source has been read."""
        return {name: self.tokens[name] / s.epoch for name, s in self.streams.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return how far it has come."""
        return {"tokens": dict(self.tokens), "behind": dict(self._behind)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.tokens, self._behind = dict(state["tokens"]), dict(state["behind"])
