"""What one process does with one chunk: read it, carry out steps, write what is left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlenv.common.files import write_atomically
from rlenv.data.pipeline import sources
from rlenv.data.pipeline.document import Document, Splitter
from rlenv.data.pipeline.sources import Chunk
from rlenv.data.pipeline.steps import Deduplication, TextFilter


@dataclass
class Tally:
    """What became of the documents that reached a step.

    Attributes:
        documents: number that reached it.
        characters: of them.
        dropped: reason to number.
        changed: what was changed, to number.
    """

    documents: int = 0
    characters: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)

    def add(self, other: Mapping[str, Any]) -> None:
        """Add another tally, as `vars` gives it."""
        self.documents += other["documents"]
        self.characters += other["characters"]
        self.dropped.update(other["dropped"])
        self.changed.update(other["changed"])


@dataclass(frozen=True)
class Phase:
    """Steps that can be carried out on each document alone, and what compares them at the end.

    Attributes:
        number: its place among the phases.
        steps: name to step.
        deduplications: name to step; in the last phase there are none.
        folder: where its chunks are left.
        last: whether its chunks are the result.
        splitter: see `Document.splitter`.
        keep_dropped: whether to write what was dropped.
        after: the phase before, whose chunks are read; None for the first.
    """

    number: int
    steps: dict[str, TextFilter[Any]]
    deduplications: dict[str, Deduplication[Any]]
    folder: Path
    last: bool
    splitter: Splitter
    keep_dropped: bool
    after: Phase | None = None

    def documents_path(self, number: int) -> Path:
        """Where the documents of a chunk are left."""
        return self.folder / f"{'part-' if self.last else ''}{number:05d}.jsonl"

    def dropped_path(self, number: int) -> Path:
        """Where what was dropped of a chunk is left."""
        return self.folder / f"dropped-{number:05d}.jsonl"

    def tally_path(self, number: int) -> Path:
        """Where the counts of a chunk are left; written last, so that it says: done."""
        return self.folder / f"{'.counts-' if self.last else ''}{number:05d}.json"

    def signatures_path(self, number: int) -> Path:
        """Where the signatures of a chunk are left."""
        return self.folder / f"{number:05d}.npz"

    @property
    def verdicts_path(self) -> Path:
        """Where it says which deduplication dropped each document."""
        return self.folder / "verdicts.npz"


def work(phase: Phase, number: int, chunk: Chunk) -> None:
    """Carry out the steps of a phase on a chunk. What is written depends on the chunk alone.

    Args:
        phase: the steps.
        number: of the chunk.
        chunk: read in the first phase; later ones read what the phase before has left.
    """
    tallies = {name: Tally() for name in phase.steps}
    signatures: dict[str, list[NDArray[np.uint64]]] = {name: [] for name in phase.deduplications}
    read, characters = Tally(), 0
    kept: list[str] = []
    dropped: list[str] = []
    for document, verdict in _documents(phase, number, chunk):
        read.documents += 1
        read.characters += len(document.text)
        if verdict is None:
            document, verdict = _carry_out(phase, document, tallies)
        if verdict is None:
            kept.append(_line(document))
            characters += len(document.text)
            for name, step in phase.deduplications.items():
                signatures[name].append(step.signature(document))
        elif phase.keep_dropped:
            dropped.append(_line(document.with_fields(dropped_by=verdict[0], reason=verdict[1])))
    write_atomically(phase.documents_path(number), "".join(kept))
    if dropped:
        write_atomically(phase.dropped_path(number), "".join(dropped))
    if signatures:
        arrays: dict[str, Any] = {name: np.array(found) for name, found in signatures.items()}
        np.savez(phase.signatures_path(number), **arrays)
    record = {
        "read": vars(read),
        "kept": len(kept),
        "kept_characters": characters,
        "steps": {name: vars(tally) for name, tally in tallies.items()},
    }
    write_atomically(phase.tally_path(number), json.dumps(record))


def _carry_out(
    phase: Phase, document: Document, tallies: dict[str, Tally]
) -> tuple[Document, tuple[str, str] | None]:
    for name, step in phase.steps.items():
        tally = tallies[name]
        tally.documents += 1
        tally.characters += len(document.text)
        document = step.edit(document, tally.changed)
        reason = next(step.reasons(document), None)
        if reason is None and not document.text.strip():
            reason = "nothing left"
        if reason is not None:
            tally.dropped[reason] += 1
            return document, (name, reason)
    return document, None


Verdict = tuple[str, str]


def _documents(
    phase: Phase, number: int, chunk: Chunk
) -> Iterator[tuple[Document, Verdict | None]]:
    """Yield the documents of a chunk, with the deduplication that drops them."""
    before = phase.after
    if before is None:
        for document in sources.read(chunk, phase.splitter):
            yield document, None
        return
    names = list(before.deduplications)
    with np.load(before.verdicts_path) as found:
        verdicts = found[f"chunk_{number}"].tolist()
    with before.documents_path(number).open(encoding="utf-8") as lines:
        for line, verdict in zip(lines, verdicts, strict=True):
            row = json.loads(line)
            document = Document(row.pop("source"), row.pop("text"), row, phase.splitter)
            if verdict < 0:
                yield document, None
            else:
                name = names[verdict]
                yield document, (name, before.deduplications[name].reason)


def _line(document: Document) -> str:
    row = {"text": document.text, **document.fields, "source": document.id}
    # ASCII: a lone surrogate must not stop the pipeline; dates and the like become strings
    return json.dumps(row, default=str) + "\n"
