"""Steps with a learned classifier: quality, and safety."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.common.settings import Settings
from rlenv.data.ngrams import NgramTable, ngrams
from rlenv.data.pipeline import sources
from rlenv.data.pipeline.classifier import Classifier, train
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import SettingsType, TextFilter
from rlenv.data.word_hashes import fold


class ClassifierStep(TextFilter[SettingsType]):
    """A step with a classifier that is named, or trained on texts that are named."""

    _folder: Path | None = None

    def _texts(self) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        """Return the folder of a classifier, texts like those to find, and texts unlike them."""
        raise NotImplementedError

    def check(self) -> None:
        """See `TextFilter.check`."""
        model, positive, negative = self._texts()
        if model is not None:
            Classifier.load(Path(model))
        for name in (*positive, *negative):
            sources.expand(name)

    def prepare(self, folder: Path) -> dict[str, Any]:
        """See `TextFilter.prepare`."""
        model, positive, negative = self._texts()
        if model is None and not positive:
            return {}
        if model is None and not (folder / "classifier.json").is_file():
            made = train(
                sources.texts(positive),
                sources.texts(negative),
                {"positive": list(positive), "negative": list(negative)},
            )
            made.save(folder)
        self._folder = folder if model is None else Path(model)
        found = _load(self._folder)
        return {"classifier": str(self._folder), "held_out": vars(found.held_out)}

    def score(self, document: Document) -> float | None:
        """Return the probability of the positive kind; None without a classifier."""
        return None if self._folder is None else _load(self._folder).score(document.words)


@lru_cache(8)
def _load(folder: Path) -> Classifier:
    return Classifier.load(folder)


def _exactly_one(step: str, model: str | None, texts: dict[str, tuple[str, ...]]) -> None:
    given = [name for name, value in texts.items() if value]
    if (model is not None and given) or (model is None and given and len(given) < len(texts)):
        raise UserError(
            f"the step {step} takes either model, a folder with a classifier, or "
            f"{' and '.join(texts)}, the texts to train one on"
        )


class QualitySettings(Settings):
    """The classifier, and how good is good enough.

    Attributes:
        model: a folder with a classifier, such as an earlier run's `steps/quality`.
        good: files (or other sources) of text such as you want.
        random: files of text as it comes.
        min_score: documents below are dropped.
    """

    model: str | None = None
    good: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    min_score: float = Field(0.5, ge=0, le=1)


class Quality(ClassifierStep[QualitySettings]):
    """Drop what is less like the good texts than like the random ones.

    The idea is that of GPT-3 (Brown et al. 2020, appendix A), which also used logistic regression
    on hashed words; there the threshold was random, here it is fixed.
    """

    Settings = QualitySettings

    def _texts(self) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        s = self.settings
        _exactly_one("quality", s.model, {"good": s.good, "random": s.random})
        if s.model is None and not s.good:
            raise UserError(
                "the step quality needs model, a folder with a classifier, or good and random, "
                "the texts to train one on"
            )
        return s.model, s.good, s.random

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        score = self.score(document)
        if score is not None and score < self.settings.min_score:
            yield "less like the good texts"


class SafetySettings(Settings):
    """What is unsafe.

    Attributes:
        words: a UTF-8 file with a word or phrase a line; none comes with rlenv.
        max_matches: of words and phrases; C4 drops a document at the first.
        model: a folder with a classifier, such as an earlier run's `steps/safety`.
        unsafe: files (or other sources) of text that is not wanted.
        safe: files of text that is fine.
        max_score: documents that score above are dropped.
    """

    words: str | None = None
    max_matches: int = Field(0, ge=0)
    model: str | None = None
    unsafe: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    max_score: float = Field(0.5, ge=0, le=1)


class Safety(ClassifierStep[SafetySettings]):
    """Drop documents with listed words (as C4 does), or that a classifier finds unsafe."""

    Settings = SafetySettings

    def _texts(self) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        s = self.settings
        _exactly_one("safety", s.model, {"unsafe": s.unsafe, "safe": s.safe})
        if s.words is None and s.model is None and not s.unsafe:
            raise UserError(
                "the step safety needs words, a file with a word or phrase a line, or model, or "
                "unsafe and safe, the texts to train a classifier on"
            )
        return s.model, s.unsafe, s.safe

    def check(self) -> None:
        """See `TextFilter.check`."""
        super().check()
        if self.settings.words is not None:
            _phrases(Path(self.settings.words))

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        s = self.settings
        if s.words is not None:
            hits = _phrases(Path(s.words)).find(document.words.folded)
            if len(hits) > s.max_matches:
                yield "listed words"
        score = self.score(document)
        if score is not None and score > s.max_score:
            yield "like the unsafe texts"


@lru_cache(8)
def _phrases(path: Path) -> NgramTable:
    """Read a list of words and phrases; a table of them by their number of words."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; safety.words is a file with a phrase a line")
    grams: dict[int, list[np.uint64]] = {}
    for line in sources.read_text(path).splitlines():
        words = fold(line)
        if len(words):
            grams.setdefault(len(words), []).append(ngrams(words, len(words))[0])
    if not grams:
        raise UserError(f"{path} holds no words")
    return NgramTable({n: np.array(values, np.uint64) for n, values in grams.items()})
