"""Text collections, and searching them with BM25."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from rlenv.common.errors import UserError

_WORD = re.compile(r"\w+")
_KINDS = (".txt", ".md")
_MOST_WORDS = 64  # of a query that are looked at


@dataclass(frozen=True)
class Passage:
    """A piece of text.

    Attributes:
        id: names it; what a citation gives in square brackets.
        text: what it says.
    """

    id: str
    text: str


class Collection:
    """Passages that can be searched.

    Passages are ranked with BM25 (Robertson and Zaragoza 2009, section 3) in Lucene's form, with
    k1 = 1.5 and b = 0.75; equal scores keep the passages' order.

    Args:
        passages: with different ids.
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        self.passages = tuple(passages)
        self.by_id = {passage.id: passage for passage in self.passages}

    @cached_property
    def _index(self) -> Any:
        import bm25s

        index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        index.index([words(p.text) for p in self.passages], show_progress=False)
        return index

    def search(self, query: str, most: int) -> list[Passage]:
        """Return the best passages that share a word with a query, best first.

        Args:
            query: words to look for.
            most: how many passages.
        """
        known = self._index.vocab_dict
        looked_for = [word for word in words(query)[:_MOST_WORDS] if word in known]
        if not looked_for:
            return []
        scores = self._index.get_scores(looked_for)
        best = np.argsort(-scores, kind="stable")[:most]
        return [self.passages[n] for n in best if scores[n] > 0]


def words(text: str) -> list[str]:
    """Return the words of a text as they are indexed: in lower case, without marks."""
    return _WORD.findall(text.casefold())


def from_folder(folder: str | Path, chars: int) -> Callable[[], Collection]:
    """Find the text files in a folder and in the folders in it.

    Paragraphs are put together to passages, which are named `file.txt#1`, `file.txt#2`, ...

    Args:
        folder: with `.txt` or `.md` files.
        chars: about how long a passage is.

    Returns:
        What reads them. It returns the same collection again and again, and can be pickled where
        a collection is too large for that.

    Raises:
        UserError: there is no such folder.
    """
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise UserError(f"{path} is no folder; give one with {' or '.join(_KINDS)} files")
    files = sorted(f for f in path.rglob("*") if f.suffix in _KINDS and f.is_file())
    stats = [file.stat() for file in files]
    state = tuple((str(f), s.st_mtime_ns, s.st_size) for f, s in zip(files, stats, strict=True))
    return partial(_read, path, state, chars)


@lru_cache(maxsize=4)
def _read(folder: Path, state: tuple[tuple[str, int, int], ...], chars: int) -> Collection:
    passages = []
    for name, _, _ in state:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{name} is not UTF-8 text") from None
        label = Path(name).relative_to(folder).as_posix()
        pieces = cut(text, chars)
        passages += [Passage(f"{label}#{n}", piece) for n, piece in enumerate(pieces, 1)]
    if not passages:
        raise UserError(f"{folder} holds no text in {' or '.join(_KINDS)} files")
    return Collection(passages)


def cut(text: str, chars: int) -> list[str]:
    """Cut a text into pieces of about so many characters, at the ends of paragraphs."""
    pieces: list[str] = []
    room = 0
    for paragraph in re.split(r"\n\s*\n", text):
        flat = " ".join(paragraph.split())
        if not flat:
            continue
        if pieces and len(flat) < room:
            pieces[-1] += f" {flat}"
        else:
            pieces.append(flat)
        room = chars - len(pieces[-1])
    return pieces
