"""A judge model as one line of a rubric."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError
from rlenv.common.settings import parse
from rlenv.common.time_limit import call_within
from rlenv.core.task import Message
from rlenv.engines.chat import ChatModelSettings
from rlenv.engines.openai import PREFIX, parse_endpoint
from rlenv.judges.batched import BatchedGrader, GradeCache
from rlenv.judges.judge import Judge
from rlenv.models.chat_models import load_chat_model


class NoVerdict(Exception):
    """The judge's reply held no verdict that could be read: the reply is not judged."""


class Judged:
    """A component of a rubric that a judge model measures.

    The judge reads the task's prompt and the reply, and grades the reply; the component is the
    grade's place on the scale, from 0 to 1. What has been graded once is not asked for again, and
    all replies of a batch are graded at once. Where the judge gives no verdict, the reply is not
    judged: it never counts as a bad one.

    Args:
        question: what a good reply is, in words: `"Is the reply polite?"`.
        model: an endpoint, `openai:NAME@URL`, or a checkpoint folder or hub id.
        weight: of the component.
        scale: the lowest and the highest grade, whole numbers; `(0, 1)` for no and yes.
        cache: a file that keeps grades from one run to the next, by a hash of the model, the
            question, the scale, the prompt and the reply; None to keep them in this process alone.
        tries: how often the judge is asked for a verdict that can be read.
        **settings: how the model is asked, see `rlenv.engines.chat.ChatModelSettings`:
            `max_concurrency`, `timeout`, `max_tokens`, `temperature`, `key_from` and others.

    Raises:
        UserError: no question, a scale that has no length, or a setting that there is not.

    Example:
        >>> class Support(rlenv.SingleTurnEnv):
        ...     rubric = rlenv.Rubric(
        ...         correct=1.0,
        ...         polite=rlenv.Judged(
        ...             "Is the reply polite?",
        ...             model="openai:qwen@http://localhost:8000/v1",
        ...             weight=0.5,
        ...         ),
        ...     )
    """

    def __init__(
        self,
        question: str,
        *,
        model: str,
        weight: float = 1.0,
        scale: Sequence[int] = (1, 10),
        cache: str | Path | None = None,
        tries: int = 2,
        **settings: Any,
    ) -> None:
        if not isinstance(question, str) or not question.strip():
            raise UserError("Judged needs a question, such as Judged('Is it polite?', model=...)")
        low, high = scale
        if not low < high:
            raise UserError(f"scale is the lowest and the highest grade, not {list(scale)}")
        named: Mapping[str, Any] = {"model": model}
        if model.startswith(PREFIX):
            name, url = parse_endpoint(model)
            named = {"model": name, "url": url}
        self.question, self.weight = question, float(weight)
        self.scale, self.tries = (int(low), int(high)), tries
        self.settings = parse(ChatModelSettings, {**named, **settings}, "Judged", "")
        self.cache = None if cache is None else str(cache)

    def expect(self, env: Any, task: Any, reply: str) -> None:
        """Let a reply be graded together with the next one that is measured."""
        self.grader.expect(_asked(env, task), reply)

    def measure(self, env: Any, task: Any, reply: str) -> float:
        """Return the grade's place on the scale.

        Raises:
            NoVerdict: the judge gave none that could be read.
        """
        # a whole batch is graded here, and the model has limits of its own
        grade = call_within(None, self.grader.grade, _asked(env, task), reply)
        if grade.share is None:
            raise NoVerdict(f"the judge gave no verdict: {grade.problem}")
        return grade.share

    @property
    def grader(self) -> BatchedGrader:
        """What grades, set up once in a process."""
        return _grader(self.settings, self.question, self.scale, self.tries, self.cache)

    def __repr__(self) -> str:
        return f"Judged({self.question!r}, model={self.settings.model!r}, weight={self.weight:g})"


def _asked(env: Any, task: Any) -> Sequence[Message]:
    said: Sequence[Message] = env.opening(task)
    return said


@lru_cache(maxsize=16)
def _grader(
    settings: ChatModelSettings,
    question: str,
    scale: tuple[int, int],
    tries: int,
    cache: str | None,
) -> BatchedGrader:
    about = [settings.model, settings.url, settings.temperature, settings.max_tokens, tries]
    kept = None
    if cache is not None:
        kept = GradeCache(Path(cache).expanduser(), json.dumps([*about, question, scale]))
    return BatchedGrader(Judge(load_chat_model(settings), tries=tries), question, scale, kept)
