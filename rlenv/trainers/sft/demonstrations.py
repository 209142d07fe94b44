"""What an environment's expert plays, as tokens with labels."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from rlenv.common.errors import UserError
from rlenv.core.env import TextEnv
from rlenv.engines.base import mix
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.demonstrations import demonstrate
from rlenv.trainers.sft.rows import IGNORED, TokenRow
from rlenv.trainers.sft.soft import SoftTargets, soften

log = logging.getLogger(__name__)


def demonstrations(
    env: TextEnv,
    chat: ChatFormat,
    count: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
    task_range: tuple[float, float] = (0.0, 1.0),
    *,
    soft: bool = False,
) -> list[TokenRow]:
    """Draw tasks of the train split and tokenize how an expert plays them.

    Args:
        env: the environment, on its train split.
        chat: how conversations become tokens.
        count: how many.
        seed: of the tasks, and of the episodes.
        progress: told now and then how many there are.
        task_range: the part of the tasks to draw from, see `rlenv.core.task.TaskSet.part`.
        soft: add the targets that `rlenv.trainers.sft.soft` makes of all the expert might have
            said.

    Returns:
        Rows with `input_ids`, and `labels` that are -100 wherever no loss is taken.

    Raises:
        HeldOutError: the environment is not on its train split.
        UserError: the environment demonstrates nothing.
    """
    rng = random.Random(f"demonstrations/{seed}")
    tasks = env.tasks.for_training().part(*task_range)
    rows = []
    targets = SoftTargets(chat.reply)
    unknown = 0
    for number in range(count):
        task = tasks.sample(rng)
        shown = demonstrate(env, task, seed=mix(seed, number) % 2**31, choices=soft)
        if shown is None:
            raise UserError(f"the environment demonstrates no reply to {task.question!r}")
        ids, mask = chat.conversation(shown.messages, shown.opening)
        labels = [token if on else IGNORED for token, on in zip(ids, mask, strict=True)]
        row = {"input_ids": ids, "labels": labels}
        if soft:
            both = list(zip(shown.choices, shown.replies, strict=True))
            unknown += sum(choices is None for choices, _ in both)
            row = soften(row, [targets({said: 1.0} if c is None else c, said) for c, said in both])
        rows.append(row)
        if progress is not None and len(rows) % 100 == 0:
            progress(len(rows))
    if unknown:
        log.warning(
            "how likely the expert's replies are is not known for %d of them in %d episodes, "
            "which are learned as they were said",
            unknown,
            count,
        )
    return rows
