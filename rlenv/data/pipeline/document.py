"""A document and what several steps ask of it, each computed once: lines and words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from rlenv.data.word_hashes import WordSequence

Splitter = Literal["spaces", "punctuation"]
SPLITTERS: tuple[Splitter, ...] = get_args(Splitter)

_APART = re.compile(r"\w+|[^\w\s]+")


@dataclass(frozen=True)
class Document:
    """A text on its way through the pipeline. A step that changes the text makes a new one.

    Attributes:
        id: names the document: its source and place in it.
        text: the text.
        fields: the row's other columns, which are kept.
        splitter: what a word is. `spaces`: what white space separates, as in Dolma and RedPajama;
            `punctuation`: runs of letters and digits, and runs of signs, each a word, which is
            near the tokenizer that datatrove uses.
    """

    id: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    splitter: Splitter = "spaces"

    def with_text(self, text: str) -> Document:
        """Return this document with another text; itself if the text is the same."""
        if text == self.text:
            return self
        return Document(self.id, text, self.fields, self.splitter)

    def with_fields(self, **fields: Any) -> Document:
        """Return this document with fields added or replaced."""
        # the text is the same, so what was computed from it stays
        made = Document(self.id, self.text, {**self.fields, **fields}, self.splitter)
        made.__dict__.update({k: v for k, v in self.__dict__.items() if k in ("lines", "words")})
        return made

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank, as they are."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]

    @cached_property
    def words(self) -> WordSequence:
        """The words."""
        items = self.text.split() if self.splitter == "spaces" else _APART.findall(self.text)
        return WordSequence(items)
