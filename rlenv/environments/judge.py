"""Replies graded by a judge model with a rubric (Zheng et al. 2023, "LLM-as-a-judge")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import rlenv
from rlenv.common.settings import parse
from rlenv.engines.chat import ChatModelSettings
from rlenv.environments.prompted import Prompted
from rlenv.judges.batched import BatchedGrader
from rlenv.judges.judge import Judge
from rlenv.models.chat_models import load_chat_model


class JudgeEnv(Prompted):
    """Answer a prompt; a judge model grades the reply by a rubric.

    The reward is the grade's place on the scale, 0 for the lowest and 1 for the highest. A verdict
    that can't be read is a failure of the grader: it is no 0 and leaves the batch.

    Args:
        rubric: what a good reply is, in words.
        judge: a checkpoint folder or hub id, or `rlenv.engines.chat.ChatModelSettings` as a
            mapping: `{model: NAME, url: http://localhost:8000/v1}` for a server.
        scale: the lowest and the highest grade.
        tries: how often the judge is asked for a verdict that can be read.
        **kwargs: see `Prompted` for where the prompts come from, and `TextEnv`.

    Raises:
        rlenv.UserError: no rubric or judge, or a scale that has no length.
    """

    def __init__(
        self,
        *,
        rubric: str | None = None,
        judge: str | Mapping[str, Any] | None = None,
        scale: Sequence[int] = (1, 10),
        tries: int = 2,
        **kwargs: Any,
    ) -> None:
        if not rubric or not isinstance(rubric, str):
            raise rlenv.UserError("Judge needs option rubric, a text on what a good reply is")
        if judge is None:
            raise rlenv.UserError(
                "Judge needs option judge, a checkpoint or {model: ..., url: ...}"
            )
        low, high = scale
        if not low < high:
            raise rlenv.UserError(f"scale is the lowest and the highest grade, not {list(scale)}")
        named = {"model": judge} if isinstance(judge, str) else dict(judge)
        self.judge = parse(ChatModelSettings, named, "Judge", "judge.")
        self.criteria, self.scale, self.tries = rubric, (int(low), int(high)), tries
        super().__init__(**kwargs)
        bonus = self.bonus
        self.solved_at = 1.0 + bonus  # type: ignore[misc]
        self.reward_range = (min(0.0, bonus), 1.0 + max(0.0, bonus))  # type: ignore[misc]

    @property
    def grader(self) -> BatchedGrader:
        """The judge, set up once in a process."""
        return _grader(self.judge, self.criteria, self.scale, self.tries)

    def announce(self, reply: str) -> None:
        """Let the reply be graded together with the others of a rollout."""
        super().announce(reply)
        if self.task is not None:
            self.grader.expect(self.opening(self.task), reply)

    def judged(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Grade a reply; the component `judge` is the grade's place on the scale."""
        grade = self.grader.grade(self.opening(task), reply)
        if grade.share is None:
            return rlenv.Reward.failed(f"the judge gave no verdict: {grade.problem}")
        return rlenv.Reward(grade.share, {"judge": grade.share})


@lru_cache(maxsize=4)
def _grader(
    settings: ChatModelSettings, rubric: str, scale: tuple[int, int], tries: int
) -> BatchedGrader:
    return BatchedGrader(Judge(load_chat_model(settings), tries=tries), rubric, scale)
