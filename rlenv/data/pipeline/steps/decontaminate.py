"""Documents that share a long run of words with held-out tasks, or with any file, are dropped."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.common.files import write_atomically
from rlenv.common.settings import Settings
from rlenv.core import protocols, registry
from rlenv.core.rows import strings
from rlenv.data.ngrams import NgramTable, ngrams
from rlenv.data.pipeline import sources
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import TextFilter
from rlenv.data.word_hashes import Hashes, fold


class DecontaminateSettings(Settings):
    """What must not be trained on.

    Attributes:
        environments: ids (or `file.py:Id`) whose test split is held out; `all` registered ones;
            `[]` for none. Under `all`, one that can't be made here, for want of its data, is left
            out, and the report says so.
        validation: hold out the validation splits too.
        tasks: of a procedural split, which has no end, look at so many: its tasks share their
            wording, and some puzzles take seconds to make. Splits of rows are looked at whole.
        files: files (or other sources) with test data; every text in their rows is held out.
        ngram: words that must agree: 13, as for GPT-3 (Brown et al. 2020, appendix C).
        min_words: a held-out text of fewer than `ngram` words is looked for as a whole, if it has
            as many as this.
    """

    environments: Literal["all"] | tuple[str, ...] = "all"
    validation: bool = False
    tasks: int = Field(3, ge=1)
    files: tuple[str, ...] = ()
    ngram: int = Field(13, ge=2)
    min_words: int = Field(8, ge=2)


class Decontaminate(TextFilter[DecontaminateSettings]):
    """Drop documents that share an n-gram with held-out text.

    Words are compared in lower case and without punctuation.
    """

    Settings = DecontaminateSettings
    _folder: Path | None = None

    def check(self) -> None:
        """See `TextFilter.check`."""
        if self.settings.environments != "all":
            for name in self.settings.environments:
                registry.spec(name)
        for name in self.settings.files:
            sources.expand(name)

    def prepare(self, folder: Path) -> dict[str, Any]:
        """See `TextFilter.prepare`."""
        self._folder = folder
        record = folder / "held_out.json"  # written last
        if not record.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            table = _Collector(self.settings.ngram, self.settings.min_words)
            left_out: dict[str, str] = {}
            for name, texts in self._held_out(left_out):
                table.add(name, texts)
            table.save(folder / "ngrams.npz")
            found = {"held_out": table.texts, "too_short": table.too_short, "left_out": left_out}
            write_atomically(record, json.dumps(found, indent=1))
        kept: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return kept

    def _held_out(self, left_out: dict[str, str]) -> Iterator[tuple[str, Iterable[str]]]:
        s = self.settings
        named = s.environments != "all"
        for name in s.environments if named else registry.registered():
            for split in ("test", "validation") if s.validation else ("test",):
                try:
                    yield f"{name} {split}", list(_solved(name, split, s.tasks))
                except (UserError, TypeError) as error:  # TypeError: it has options to be given
                    if named:
                        raise
                    left_out[name] = str(error)
        for name in s.files:
            yield name, (text for row in sources.rows(name) for text in strings(row))

    def reasons(self, document: Document) -> Iterator[str]:
        """See `TextFilter.reasons`."""
        if self._folder is None:
            return
        table, names = _load(self._folder)
        for source in np.unique(table.find(document.words.folded)).tolist():
            yield f"shares words with {names[source]}"


def _solved(name: str, split: str, most: int) -> Iterator[str]:
    # some generators print as they go
    with contextlib.redirect_stdout(io.StringIO()):
        env = registry.make(name, split=split)
        tasks = list(env.tasks if hasattr(env.tasks, "__len__") else islice(env.tasks, most))
    for task in tasks:
        yield task.question
        solved = protocols.text(env, task)
        if solved is not None:
            yield solved
        if isinstance(task.answer, str):
            yield task.answer


class _Collector:
    """The n-grams of held-out texts, by n, with a number for where each comes from."""

    def __init__(self, n: int, min_words: int) -> None:
        self._n = n
        self._min_words = min(min_words, n)
        self._grams: dict[int, list[Hashes]] = {}
        self._names: dict[int, list[int]] = {}
        self.texts: dict[str, int] = {}
        self.too_short: dict[str, int] = {}

    def add(self, name: str, texts: Iterable[str]) -> None:
        self.texts.setdefault(name, 0)
        source = list(self.texts).index(name)
        for text in texts:
            words = fold(text)
            if len(words) < self._min_words:
                self.too_short[name] = self.too_short.get(name, 0) + 1
                continue
            n = min(self._n, len(words))
            grams = ngrams(words, n)
            self._grams.setdefault(n, []).append(grams)
            self._names.setdefault(n, []).extend([source] * len(grams))
            self.texts[name] += 1

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {"names": np.array(list(self.texts), np.str_)}
        for n, grams in self._grams.items():
            arrays[f"grams_{n}"] = np.concatenate(grams)
            arrays[f"from_{n}"] = np.array(self._names[n], np.int64)
        np.savez(path, **arrays)


@lru_cache(4)
def _load(folder: Path) -> tuple[NgramTable, list[str]]:
    with np.load(folder / "ngrams.npz") as arrays:
        sizes = [int(key.split("_")[1]) for key in arrays.files if key.startswith("grams_")]
        table = NgramTable(
            {n: arrays[f"grams_{n}"] for n in sizes}, {n: arrays[f"from_{n}"] for n in sizes}
        )
        return table, arrays["names"].tolist()
