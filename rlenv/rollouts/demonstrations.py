"""Whole episodes as an environment's expert plays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rlenv.core import protocols
from rlenv.core.env import SingleTurnEnv, TextEnv
from rlenv.core.task import Message, Task

_MOST_TURNS = 100  # of an episode that its environment does not end


@dataclass(frozen=True)
class Demonstration:
    """An episode of an expert.

    Attributes:
        messages: the conversation, up to and including the last reply.
        opening: how many of them come before the first reply.
        choices: for each reply, how likely each that the expert might have given is, None where
            that is not known; empty if not asked for.
    """

    messages: list[Message]
    opening: int
    choices: list[Mapping[str, float] | None] = field(default_factory=list)

    @property
    def replies(self) -> list[str]:
        """What the expert said."""
        told = self.messages[self.opening :]
        return [str(m["content"]) for m in told if m["role"] == "assistant"]


def demonstrate(
    env: TextEnv, task: Task, *, seed: int, choices: bool = False
) -> Demonstration | None:
    """Let an environment's expert play a task to its end.

    An episode of a single turn is not judged, as graders may be slow: its one reply is taken for
    what `rlenv check` tested it to be.

    Args:
        env: the environment; it is reset.
        task: the task to play.
        seed: of the episode, and so of an expert that plays one task in several ways.
        choices: ask too how likely each reply of the expert is.

    Returns:
        The episode; None where the expert does not know how to go on.
    """
    if isinstance(env, SingleTurnEnv):
        messages = [dict(message) for message in env.opening(task)]
        asked = [protocols.choices(env, task, messages)] if choices else []
        reply = env.demonstrate(task, messages)
        if reply is None:
            return None
        said = {"role": "assistant", "content": reply}
        return Demonstration([*messages, said], len(messages), asked)
    _, info = env.reset(seed=seed, options={"task": task})
    opening = len(info["messages"])
    asked = []
    for _ in range(_MOST_TURNS):
        if choices:
            asked.append(protocols.choices(env, task, info["messages"]))
        reply = env.demonstrate(task, info["messages"])
        if reply is None:
            return None
        _, _, terminated, truncated, info = env.step(reply)
        if terminated or truncated:
            break
    messages = info["messages"]
    while messages[-1]["role"] != "assistant":  # what was said once it was over
        messages.pop()
    return Demonstration(messages, opening, asked)
