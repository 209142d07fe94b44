"""When a completion has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Stops:
    """Stop tokens and stop texts.

    Args:
        ids: tokens that end a completion.
        texts: texts that end it.
        tokenizer: to read texts with.

    Raises:
        ValueError: there are texts but no tokenizer.
    """

    def __init__(
        self, ids: Sequence[int], texts: Sequence[str] = (), tokenizer: Any = None
    ) -> None:
        if texts and tokenizer is None:
            raise ValueError("an engine needs a tokenizer to stop at a text")
        self._ids = np.array(sorted(ids), dtype=np.int64)
        self._texts = texts
        self._tokenizer = tokenizer
        self._closes: dict[int, bool] = {}  # whether a token can be the last of a stop text

    def ended(self, tokens: np.ndarray) -> np.ndarray:
        """Return which of the newest tokens (B,) are stop tokens."""
        if len(self._ids) == 1:
            return tokens == self._ids[0]
        return np.isin(tokens, self._ids)

    def may_close(self, token: int) -> bool:
        """Return whether a token may be the last of a stop text."""
        if not self._texts:
            return False
        if token not in self._closes:
            text = self._tokenizer.decode([token])
            # a token of a few bytes shows as a replacement character and may be part of anything
            self._closes[token] = "\ufffd" in text or any(t[-1] in text for t in self._texts)
        return self._closes[token]

    def said(self, ids: Sequence[int]) -> bool:
        """Return whether a completion holds a stop text."""
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return any(stop in text for stop in self._texts)
