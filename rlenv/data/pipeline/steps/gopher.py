"""The rules of MassiveText (Rae et al. 2021, "Scaling Language Models: Methods, Analysis &
Insights from Training Gopher", appendix A.1.1): quality, and repetition within a document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
from pydantic import Field

from rlenv.common.settings import Settings
from rlenv.data.ngrams import covered, group, ngrams
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import TextFilter
from rlenv.data.word_hashes import WordSequence

_BULLETS = ("•", "‣", "◦", "▪", "-", "*")
_ELLIPSES = ("...", "…")
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
_BLANK_LINES = re.compile(r"\n\s*\n")


class GopherQualitySettings(Settings):
    """Thresholds of the paragraph "Quality filtering". A word of signs alone is not counted.

    Attributes:
        min_words: of a document.
        max_words: of a document.
        min_mean_length: characters a word, on average.
        max_mean_length: characters a word, on average.
        max_symbols: number of `#`, and of ellipses, over the number of words.
        max_bullet_lines: share of lines that begin with a bullet.
        max_ellipsis_lines: share of lines that end with an ellipsis.
        min_alphabetic: share of words with a letter in them.
        min_stop_words: how many different ones of `stop_words` must occur.
        stop_words: of the language.
    """

    min_words: int = 50
    max_words: int = 100_000
    min_mean_length: float = 3
    max_mean_length: float = 10
    max_symbols: float = 0.1
    max_bullet_lines: float = 0.9
    max_ellipsis_lines: float = 0.3
    min_alphabetic: float = 0.8
    min_stop_words: int = 2
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")


class GopherQuality(TextFilter[GopherQualitySettings]):
    """Drop what does not look like prose (Rae et al. 2021, appendix A.1.1)."""

    Settings = GopherQualitySettings

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        s, words, text = self.settings, document.words, document.text
        count = characters = alphabetic = 0
        for word, number in words.counts.items():
            if word.isalpha() or _LETTER.search(word):
                alphabetic += number
            elif not _DIGIT.search(word):
                continue
            count += number
            characters += len(word) * number
        if count < s.min_words:
            yield "too few words"
        if count > s.max_words:
            yield "too many words"
        if not count:
            return
        if characters < s.min_mean_length * count:
            yield "words too short"
        if characters > s.max_mean_length * count:
            yield "words too long"
        if text.count("#") > s.max_symbols * len(words):
            yield "hash signs"
        if sum(map(text.count, _ELLIPSES)) > s.max_symbols * len(words):
            yield "ellipses"
        lines = document.lines
        bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines)
        if bullets > s.max_bullet_lines * len(lines):
            yield "bullet lines"
        open_ended = sum(line.rstrip().endswith(_ELLIPSES) for line in lines)
        if open_ended > s.max_ellipsis_lines * len(lines):
            yield "ellipsis lines"
        if alphabetic < s.min_alphabetic * len(words):
            yield "few words with letters"
        if len(words.counts.keys() & set(s.stop_words)) < s.min_stop_words:
            yield "few stop words"


class GopherRepetitionSettings(Settings):
    """Thresholds of Table A1. A line, paragraph or n-gram is a duplicate if it occurred before.

    Attributes:
        duplicate_lines: share of lines.
        duplicate_paragraphs: share of paragraphs, which blank lines separate.
        duplicate_line_characters: share of all characters.
        duplicate_paragraph_characters: share of all characters.
        top_ngrams: n to the share of all characters that the most frequent n-gram may make up.
        duplicate_ngrams: n to the share of all characters that words in duplicate n-grams may
            make up; a word in several of them counts once.
    """

    duplicate_lines: float = 0.30
    duplicate_paragraphs: float = 0.30
    duplicate_line_characters: float = 0.20
    duplicate_paragraph_characters: float = 0.20
    top_ngrams: dict[int, float] = Field(default={2: 0.20, 3: 0.18, 4: 0.16})
    duplicate_ngrams: dict[int, float] = Field(
        default={5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
    )


class GopherRepetition(TextFilter[GopherRepetitionSettings]):
    """Drop what repeats itself (Rae et al. 2021, appendix A.1.1, Table A1)."""

    Settings = GopherRepetitionSettings

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        s, size = self.settings, len(document.text)
        if not size:
            return
        paragraphs = [p for p in _BLANK_LINES.split(document.text) if p.strip()]
        units = (
            ("paragraphs", paragraphs, s.duplicate_paragraphs, s.duplicate_paragraph_characters),
            ("lines", document.lines, s.duplicate_lines, s.duplicate_line_characters),
        )
        for name, parts, most, most_characters in units:
            number, characters = duplicates(parts)
            if number > most * len(parts):
                yield f"duplicate {name}"
            if characters > most_characters * size:
                yield f"characters in duplicate {name}"
        for n, top, repeated in ngram_characters(
            document.words, {*s.top_ngrams, *s.duplicate_ngrams}
        ):
            if n in s.top_ngrams and top > s.top_ngrams[n] * size:
                yield f"top {n}-gram"
            if n in s.duplicate_ngrams and repeated > s.duplicate_ngrams[n] * size:
                yield f"duplicate {n}-grams"


def duplicates(parts: Iterable[str]) -> tuple[int, int]:
    """Return how many of the parts occurred before, and their characters."""
    seen: set[str] = set()
    number = characters = 0
    for part in parts:
        if part in seen:
            number += 1
            characters += len(part)
        else:
            seen.add(part)
    return number, characters


def ngram_characters(words: WordSequence, sizes: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """Measure how much of a text its repeated n-grams make up.

    Args:
        words: of the text.
        sizes: the n of interest.

    Yields:
        n; characters of the most frequent n-gram, with the spaces within, times its occurrences
        (of equally frequent ones the first counts); characters of the words that lie in an n-gram
        that occurred before, each word once.
    """
    count, lengths = len(words), words.lengths
    ends = np.concatenate([[0], np.cumsum(lengths)])
    # an n-gram that occurs twice begins with an (n-1)-gram that does: only those are looked at
    places = np.arange(count)
    for n in sorted(sizes):
        places = places[places <= count - n]
        if n > count:
            return
        if not len(places):
            yield n, int(ends[n]) + n - 1, 0
            continue
        found = group(ngrams(words.hashes, n)[places])
        start, number = found.most_frequent()
        start = int(places[start]) if number > 1 else 0
        top = (int(ends[start + n] - ends[start]) + n - 1) * number
        repeated = covered(places[found.repeats], n, count)
        yield n, top, int(lengths[repeated].sum())
        places = places[found.not_alone]
