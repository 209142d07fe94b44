"""One form for the same text: Unicode composition, line ends, control characters, blank space."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Literal

from rlenv.common.settings import Settings
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import TextFilter

# controls except tab and line feed; zero-width and byte-order marks; lone surrogates. The joiners
# U+200C and U+200D stay: Persian and the Indic scripts, and many emoji, are spelled with them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|\x0c|\x0b|\x85|\u2028|\u2029")
_BLANKS = tuple(c for c in map(chr, range(0x3001)) if c.isspace() and c != "\n")
_TRAILING = re.compile(r"(?<![^\S\n])[^\S\n]+(?=\n|\Z)")


class NormaliseSettings(Settings):
    """What is made uniform.

    Attributes:
        form: of Unicode; NFC keeps how things look, NFKC also folds ligatures and wide letters
            (Unicode Standard Annex 15).
        max_blank_lines: in a row.
    """

    form: Literal["NFC", "NFKC"] = "NFC"
    max_blank_lines: int = 2


class Normalise(TextFilter[NormaliseSettings]):
    """Compose characters, end lines with a line feed, and remove what is not seen."""

    Settings = NormaliseSettings

    def edit(self, document: Document, counts: Counter[str]) -> Document:
        """See `TextFilter.edit`."""
        text = document.text
        if not text.isascii() and not unicodedata.is_normalized(self.settings.form, text):
            text = unicodedata.normalize(self.settings.form, text)
        text = _LINE_END.sub("\n", text)
        text = _UNSEEN.sub("", text)
        if any(f"{blank}\n" in text for blank in _BLANKS) or text.endswith(_BLANKS):
            text = _TRAILING.sub("", text)
        breaks = "\n" * (self.settings.max_blank_lines + 1)
        if f"{breaks}\n" in text:
            text = re.sub(rf"{breaks}\n+", breaks, text)
        text = text.strip("\n")
        if text != document.text:
            counts["documents changed"] += 1
        return document.with_text(text)
