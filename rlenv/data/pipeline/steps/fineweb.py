"""The rules that FineWeb adds to those of C4 and MassiveText (Penedo et al. 2024, "The FineWeb
Datasets: Decanting the Web for the Finest Text Data at Scale", section 3.6)."""

from __future__ import annotations

from collections.abc import Iterator

from rlenv.common.settings import Settings
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.gopher import duplicates
from rlenv.data.pipeline.steps.step import TextFilter

# of the scripts that have marks of their own for the end of a sentence
_TERMINAL = tuple(".?!。！？．｡‼⁇⁈⁉‽؟۔।॥።፧։၊။។៕๚ฯ༎")


class FineWebSettings(Settings):
    """Thresholds of section 3.6, and of the published code.

    Attributes:
        min_punctuated: share of lines that end in terminal punctuation; this or less is dropped.
        max_duplicate_characters: share of characters in lines that occurred before; this or more
            is dropped. (datatrove's default is 0.01, the paper's figure is 0.1.)
        max_short_lines: share of short lines; this or more is dropped.
        short: a line of fewer characters is short.
        max_newlines: line breaks over words; more is dropped. In the published code, not in the
            paper.
    """

    min_punctuated: float = 0.12
    max_duplicate_characters: float = 0.1
    max_short_lines: float = 0.67
    short: int = 30
    max_newlines: float = 0.3


class FineWeb(TextFilter[FineWebSettings]):
    """Drop lists, menus and what repeats its lines (Penedo et al. 2024, section 3.6)."""

    Settings = FineWebSettings

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        s, lines = self.settings, document.lines
        if not lines:
            yield "empty"
            return
        if sum(line.endswith(_TERMINAL) for line in lines) <= s.min_punctuated * len(lines):
            yield "few lines end in punctuation"
        _, repeated = duplicates(lines)
        newlines = document.text.count("\n")
        if repeated >= s.max_duplicate_characters * (len(document.text) - newlines):
            yield "characters in duplicate lines"
        if sum(len(line) < s.short for line in lines) >= s.max_short_lines * len(lines):
            yield "short lines"
        if newlines > s.max_newlines * len(document.words):
            yield "line breaks"
