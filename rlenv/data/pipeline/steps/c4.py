"""The rules of C4, the Colossal Clean Crawled Corpus (Raffel et al. 2020, "Exploring the Limits of
Transfer Learning with a Unified Text-to-Text Transformer", section 2.2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from rlenv.common.settings import Settings
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import TextFilter

_END_MARKS = (".", "?", "!", '"', "”")
_ELLIPSES = ("...", "…")
_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
_SENTENCE_END = re.compile(r"(?<![.?!])[.?!]+[\"'”’)\]]*(?=\s|$)")
_LONG_WORD = re.compile(r"\S{1001}")
_POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


class C4Settings(Settings):
    """The rules; a rule that is false, or a number that is 0, is off.

    The list of bad words is the step `safety`, and the language the step `language`. C4 also drops
    spans of three sentences that occurred before, which is not done here.

    Attributes:
        terminal_punctuation: keep only lines that end in a full stop, question mark, exclamation
            mark or closing quote. It removes most of what is broken into lines of equal width;
            FineWeb leaves this rule out.
        min_words: of a line that is kept.
        min_sentences: of a document, once lines are gone.
        long_words: drop lines with a word of more than 1,000 characters.
        javascript: drop lines that mention Javascript.
        policies: drop lines about cookies, privacy and terms of use.
        citations: remove the citation marks of Wikipedia.
        lorem_ipsum: drop documents with placeholder text.
        curly_brackets: drop documents with a `{`, which belongs to programs.
    """

    terminal_punctuation: bool = True
    min_words: int = 5
    min_sentences: int = 3
    long_words: bool = True
    javascript: bool = True
    policies: bool = True
    citations: bool = True
    lorem_ipsum: bool = True
    curly_brackets: bool = True


class C4(TextFilter[C4Settings]):
    """Keep the lines that are sentences, and drop documents with too few (Raffel et al. 2020).

    As in the published code, what speaks against a whole document is looked for in the lines that
    are left.
    """

    Settings = C4Settings

    def edit(self, document: Document, counts: Counter[str]) -> Document:
        """See `TextFilter.edit`."""
        text = document.text
        if self.settings.citations and "[" in text:
            text, number = _CITATION.subn("", text)
            counts["citation marks removed"] += number
        has_long_words = self.settings.long_words and _LONG_WORD.search(text) is not None
        kept: list[str] = []
        for line in map(str.strip, text.split("\n")):
            reason = self._against(line, has_long_words) if line else None
            if reason is None:
                kept.append(line)
            else:
                counts[f"lines dropped: {reason}"] += 1
        return document.with_text("\n".join(kept).strip())

    def _against(self, line: str, has_long_words: bool) -> str | None:
        s = self.settings
        if has_long_words and _LONG_WORD.search(line):
            return "a word of over 1,000 characters"
        if s.terminal_punctuation and (not line.endswith(_END_MARKS) or line.endswith(_ELLIPSES)):
            return "no terminal punctuation"
        if s.min_words and len(line.split(None, s.min_words)) < s.min_words:
            return "too few words"
        lower = line.lower()
        if s.javascript and "javascript" in lower:
            return "javascript"
        if s.policies and any(phrase in lower for phrase in _POLICIES):
            return "cookies and terms of use"
        return None

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        s, text = self.settings, document.text
        if s.lorem_ipsum and "lorem ipsum" in text.lower():
            yield "lorem ipsum"
        if s.curly_brackets and "{" in text:
            yield "curly bracket"
        if s.min_sentences and _fewer_sentences(document, s.min_sentences):
            yield "too few sentences"


def _fewer_sentences(document: Document, number: int) -> bool:
    """Return whether a text has fewer sentences; each line is one at least."""
    found = 0
    for line in document.lines:
        found += max(1, sum(1 for _ in _SENTENCE_END.finditer(line)))
        if found >= number:
            return False
    return True
