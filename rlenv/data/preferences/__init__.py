"""Preferences: the forms in which data sets hold them, read into pairs or labelled replies.

Rows may have any of TRL's forms, Alpaca's columns, or a ranking of several replies:

- `prompt`, `chosen`, `rejected`: texts, or lists of chat messages;
- `chosen`, `rejected` alone, which begin with the prompt (implicit prompt);
- `instruction`, perhaps `input`, in place of `prompt`;
- `prompt`, `replies`, and `ranks` (1 is the best) or `scores`;
- `margin`: by how much the chosen reply is better; `tie`: true if neither is;
- `prompt`, `completion`, `label`: one reply that is good (true) or bad by itself, no pair.

A row that can't be used says why. Nothing is dropped without being counted.
"""

from rlenv.data.preferences.formats import COLUMNS, from_ranking, implicit_prompt, pairs_of, read
from rlenv.data.preferences.types import EMPTY, TIE, Labelled, Pair, Preferences, Unusable

__all__ = [
    "COLUMNS",
    "EMPTY",
    "TIE",
    "Labelled",
    "Pair",
    "Preferences",
    "Unusable",
    "from_ranking",
    "implicit_prompt",
    "pairs_of",
    "read",
]
