"""What a corpus holds: samples, lengths, languages, duplicates, and what each rule would drop."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rlenv.common.errors import UserError
from rlenv.data.pipeline import sources, steps
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.settings import PipelineSettings, make_steps
from rlenv.data.pipeline.sources import InputSettings
from rlenv.data.pipeline.steps import Deduplication, TextFilter
from rlenv.data.pipeline.steps.language import detect

_RULES = ("gopher_quality", "gopher_repetition", "c4", "fineweb", "personal", "exact", "minhash")
_QUANTILES = {"least": 0.0, "10%": 0.1, "median": 0.5, "90%": 0.9, "most": 1.0}
_SHOWN = 300  # characters of a sample
_PAIRS = 5


@dataclass
class Inspection:
    """What was found.

    Attributes:
        documents: number looked at.
        complete: whether these are all.
        characters: of them.
        lengths: `characters`, `words` and `lines` of a document: name of a quantile to length.
        languages: code to number of documents, most frequent first; empty without the extra.
        rules: name of a step to the number of `documents` that it alone would drop, and `reasons`:
            each reason to the number of documents it applies to, whatever else does.
        changes: name of a step to what it alone would change, and how often.
        duplicate_pairs: some pairs (earlier, later) of near-duplicates, by their names.
        samples: names and beginnings of some documents.
    """

    documents: int
    complete: bool
    characters: int
    lengths: dict[str, dict[str, float]]
    languages: dict[str, int]
    rules: dict[str, dict[str, Any]]
    changes: dict[str, dict[str, int]]
    duplicate_pairs: list[tuple[str, str]]
    samples: list[tuple[str, str]]


def inspect(
    source: InputSettings,
    config: PipelineSettings | None = None,
    *,
    limit: int = 10_000,
    samples: int = 3,
    seed: int = 0,
) -> Inspection:
    """Look into a corpus. Each step is tried on the documents as they are, not one after another.

    Args:
        source: the corpus.
        config: whose steps to try; by default the published rules, personal data and duplicates.
        limit: look at so many documents.
        samples: show so many.
        seed: decides which are shown.

    Raises:
        UserError: there is no such corpus, or it holds no documents.
    """
    splitter = "spaces" if config is None else config.words
    every = (d for chunk in sources.chunks(source, 1 << 24) for d in sources.read(chunk, splitter))
    documents = list(islice(every, limit))
    if not any(document.text for document in documents):
        raise UserError(f"{source.path} holds no documents")
    complete = next(every, None) is None
    found = Inspection(
        documents=len(documents),
        complete=complete,
        characters=sum(len(d.text) for d in documents),
        lengths=_lengths(documents),
        languages=_languages(documents),
        rules={},
        changes={},
        duplicate_pairs=[],
        samples=[
            (d.id, d.text[:_SHOWN] + ("…" if len(d.text) > _SHOWN else ""))
            for d in random.Random(seed).sample(documents, min(samples, len(documents)))
        ],
    )
    tried = {name: steps.make(name) for name in _RULES} if config is None else make_steps(config)
    for step in tried.values():
        step.check()
    with tempfile.TemporaryDirectory() as folder:
        for name, step in tried.items():
            step.prepare(Path(folder) / name)
            if isinstance(step, Deduplication):
                _try_deduplication(name, step, documents, found)
            else:
                _try_step(name, step, documents, found)
    return found


def _lengths(documents: list[Document]) -> dict[str, dict[str, float]]:
    measured = {
        "characters": [len(d.text) for d in documents],
        "words": [len(d.words) for d in documents],
        "lines": [len(d.lines) for d in documents],
    }
    return {
        unit: {name: float(np.quantile(lengths, q)) for name, q in _QUANTILES.items()}
        for unit, lengths in measured.items()
    }


def _languages(documents: list[Document]) -> dict[str, int]:
    try:
        steps.make("language").check()
    except UserError:
        return {}
    return dict(Counter(detect(d.text)[0] for d in documents).most_common())


def _try_step(
    name: str, step: TextFilter[Any], documents: list[Document], found: Inspection
) -> None:
    dropped, reasons, changes = 0, Counter[str](), Counter[str]()
    for document in documents:
        why = list(step.reasons(step.edit(document, changes)))
        dropped += bool(why)
        reasons.update(why)
    if reasons or name != "personal":
        found.rules[name] = {"documents": dropped, "reasons": dict(reasons.most_common())}
    if changes:
        found.changes[name] = dict(changes.most_common())


def _try_deduplication(
    name: str, step: Deduplication[Any], documents: list[Document], found: Inspection
) -> None:
    originals = step.originals(np.array([step.signature(d) for d in documents]))
    later = np.flatnonzero(originals != np.arange(len(documents)))
    reasons = {step.reason: len(later)} if len(later) else {}
    found.rules[name] = {"documents": len(later), "reasons": reasons}
    if name == "minhash":
        found.duplicate_pairs += [
            (documents[originals[i]].id, documents[i].id) for i in later[:_PAIRS]
        ]
