"""The samples of an evaluation, and the Parquet files they are kept in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rlenv.common.verdicts import Verdict, scored, verdict
from rlenv.core.task import Message


@dataclass(frozen=True)
class Sample:
    """One evaluated episode; a row of `samples.parquet`.

    Attributes:
        task_key: the key of the task.
        index: the number of the task among those evaluated, from 0.
        number: the number of the sample among those of its task, from 0.
        greedy: made at temperature 0, beside the samples.
        prompt: the last message before the first reply.
        messages: the whole conversation.
        reply: the policy's last message.
        answer: what the reply answers, for votes; None where it answers nothing.
        value: the reward; NaN where the grader failed.
        components: the reward's components.
        status: the reward's status.
        detail: the reward's detail.
        solved: judged, and the reward is at least the environment's `solved_at`.
        truncated: cut off by a limit on tokens or turns.
        turns: replies.
        prompt_tokens: tokens that the policy read.
        tokens: tokens that the policy sampled.
        seconds: this sample's part of the time for playing its batch, grading included.
        metadata: the task's metadata.
    """

    task_key: str
    index: int
    number: int
    greedy: bool
    prompt: str
    messages: tuple[Message, ...]
    reply: str
    answer: str | None
    value: float
    components: dict[str, float]
    status: str
    detail: str
    solved: bool
    truncated: bool
    turns: int
    prompt_tokens: int
    tokens: int
    seconds: float
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> bool:
        """Whether the grader could judge it."""
        return self.status != "grader_error"


def verdict_of(sample: Sample, result: Mapping[str, Any]) -> Verdict:
    """Return the word for a sample: right, partly, wrong or not judged.

    Args:
        sample: one of an evaluation.
        result: the evaluation's, which has the environment's `reward_range`.
    """
    if sample.solved:
        return "right"
    lowest = result.get("reward_range", (0.0,))[0]
    return verdict(sample.value, sample.status, solved_at=math.inf, lowest=lowest)


def scored_sample(sample: Sample, result: Mapping[str, Any]) -> str:
    """Return a sample's reward as people read it; the arguments are those of `verdict_of`."""
    return scored(sample.value, sample.status, verdict_of(sample, result))


_NAMES = [each.name for each in fields(Sample)]
_JSON = json.JSONEncoder(default=str)  # metadata may hold anything


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("task_key", pa.string()),
            ("index", pa.int64()),
            ("number", pa.int64()),
            ("greedy", pa.bool_()),
            ("prompt", pa.string()),
            ("messages", pa.string()),  # JSON: a message may hold more than role and content
            ("reply", pa.string()),
            ("answer", pa.string()),
            ("value", pa.float64()),  # null where the grader failed
            ("components", pa.map_(pa.string(), pa.float64())),
            ("status", pa.string()),
            ("detail", pa.string()),
            ("solved", pa.bool_()),
            ("truncated", pa.bool_()),
            ("turns", pa.int64()),
            ("prompt_tokens", pa.int64()),
            ("tokens", pa.int64()),
            ("seconds", pa.float64()),
            ("metadata", pa.string()),  # JSON
        ]
    )


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples as Parquet, so that a crash leaves either the old or the new file."""
    import pyarrow as pa
    from pyarrow import parquet

    kept = list(samples)
    columns = {name: [getattr(s, name) for s in kept] for name in _NAMES}
    columns["value"] = [s.value if math.isfinite(s.value) else None for s in kept]
    columns["components"] = [list(s.components.items()) for s in kept]
    for name in ("prompt", "reply", "detail", "answer"):
        columns[name] = [_whole(text) for text in columns[name]]
    columns["messages"] = [_JSON.encode(s.messages) for s in kept]
    columns["metadata"] = [_JSON.encode(s.metadata) for s in kept]
    temporary = path.with_name(f".{path.name}.new")
    parquet.write_table(pa.table(columns, schema=_schema()), temporary)
    temporary.replace(path)


def read_samples(path: Path) -> list[Sample]:
    """Read what `write_samples` wrote."""
    from pyarrow import parquet

    found = []
    for row in parquet.ParquetFile(path).read().to_pylist():
        row["value"] = math.nan if row["value"] is None else row["value"]
        row["components"] = dict(row["components"])
        row["messages"] = tuple(json.loads(row["messages"]))
        row["metadata"] = json.loads(row["metadata"])
        found.append(Sample(**row))
    return found


def _whole(text: str | None) -> str | None:
    """Replace halves of surrogate pairs, which a Parquet file can't hold."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")
