"""The contract of a step: it may change a document, and it may give reasons to drop it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlenv.common.settings import Settings
from rlenv.data.pipeline.document import Document
from rlenv.data.word_hashes import Hashes

SettingsType = TypeVar("SettingsType", bound=Settings)


class TextFilter(Generic[SettingsType]):
    """One step of the pipeline. It looks at one document at a time and keeps nothing between them.

    Steps are pickled and sent to the processes that do the work.

    Attributes:
        Settings: the class of its settings; the defaults are the published thresholds.
    """

    Settings: ClassVar[type[Any]]

    def __init__(self, settings: SettingsType) -> None:
        self.settings = settings

    def check(self) -> None:
        """Raise a `UserError` for what would fail later, before anything starts."""

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Make, once for a run, what every process needs, such as a table of n-grams.

        Args:
            folder: the step's own; what is there already was made by an earlier start of this run.

        Returns:
            What the report should say about it.
        """
        return {}

    def edit(self, document: Document, counts: Counter[str]) -> Document:
        """Return the document as it should be.

        Args:
            document: as the steps before left it.
            counts: add here how much of what was changed.
        """
        return document

    def reasons(self, document: Document) -> Iterator[str]:
        """Yield, lazily, each reason to drop the document, in a fixed order.

        A run stops at the first; `rlenv data inspect` reads all of them.

        Args:
            document: as `edit` left it.
        """
        return iter(())


class Deduplication(TextFilter[SettingsType]):
    """A step that compares documents with each other.

    Every document leaves a signature. Once all of them are there, the whole corpus is judged at
    once, so the result depends on the order of the documents alone.
    """

    reason: ClassVar[str]  # of those dropped

    def signature(self, document: Document) -> Hashes:
        """Return what is compared of a document: so many 64-bit numbers, the same for all."""
        raise NotImplementedError

    def originals(self, signatures: Hashes) -> NDArray[np.int64]:
        """Return for each document the first one it is a duplicate of; itself if it is none.

        Args:
            signatures: (documents, numbers).

        Returns:
            (documents,) of row numbers.
        """
        raise NotImplementedError
