"""Who plays the tasks of an evaluation: a model in this process, or one behind an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rlenv.core.reward import Reward
from rlenv.core.task import Message, Task
from rlenv.engines.base import Engine, Sampling
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.rollout import EnvPool, play


@dataclass(frozen=True)
class Played:
    """One episode, as text.

    Attributes:
        messages: the conversation.
        turns: replies.
        reward: the episode's.
        truncated: it was cut off by a limit.
        prompt_tokens: tokens that the policy read.
        tokens: tokens that the policy sampled.
    """

    messages: Sequence[Message]
    turns: int
    reward: Reward
    truncated: bool
    prompt_tokens: int
    tokens: int

    @property
    def replies(self) -> list[str]:
        """What the policy said, in order."""
        return replies(self.messages, self.turns)


def replies(messages: Sequence[Message], turns: int) -> list[str]:
    """Return the policy's messages: the last so many of the assistant's."""
    said = [str(m["content"]) for m in messages if m["role"] == "assistant"]
    return said[len(said) - turns :]


class Player(Protocol):
    """Plays episodes with a policy.

    Attributes:
        batch_size: how many episodes it is worth handing over together.
    """

    batch_size: int

    def play(
        self, pool: EnvPool, tasks: Sequence[Task], samples: int, sampling: Sampling, seed: int
    ) -> list[list[Played]]:
        """Play every task so many times.

        Args:
            pool: environments to play in.
            tasks: the tasks.
            samples: episodes a task.
            sampling: how the policy samples.
            seed: of the environments and of the sampling.

        Returns:
            For each task, its episodes.
        """
        ...


class LocalPlayer(Player):
    """A model in this process.

    Args:
        engine: the policy.
        chat: how conversations become tokens.
        max_length: the most tokens of an episode.
        batch_size: episodes that it is worth handing over together, if the engine takes as many.
    """

    def __init__(
        self, engine: Engine, chat: ChatFormat, max_length: int, batch_size: int = 512
    ) -> None:
        self.engine, self.chat, self.max_length = engine, chat, max_length
        self.batch_size = min(batch_size, engine.max_rows)

    def play(
        self, pool: EnvPool, tasks: Sequence[Task], samples: int, sampling: Sampling, seed: int
    ) -> list[list[Played]]:
        """See `Player.play`."""
        groups = play(
            pool,
            self.engine,
            self.chat,
            tasks,
            samples=samples,
            sampling=sampling,
            seed=seed,
            max_length=self.max_length,
        )
        return [
            [
                Played(
                    messages=t.messages,
                    turns=len(t.turn_ends),
                    reward=t.reward,
                    truncated=t.truncated,
                    prompt_tokens=len(t.token_ids) - t.sampled_tokens,
                    tokens=t.sampled_tokens,
                )
                for t in group.trajectories
            ]
            for group in groups
        ]
