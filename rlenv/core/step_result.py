"""What an environment answers to a reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlenv.core.reward import Reward
from rlenv.core.task import Message


@dataclass(frozen=True)
class Response:
    """What an environment answers to a reply; made by `turn` and `done`."""

    text: str
    reward: Reward | None
    final: bool
    messages: tuple[Message, ...] = ()

    @property
    def said(self) -> tuple[Message, ...]:
        """The chat messages that the answer adds to the conversation."""
        if self.messages or (self.final and not self.text):
            return self.messages
        return ({"role": "user", "content": self.text},)


def turn(
    text: str,
    reward: Reward | float | bool | None = None,
    *,
    messages: Sequence[Message] = (),
) -> Response:
    """Go on with the episode.

    Args:
        text: what the policy reads next, and the observation.
        reward: what this turn earned; None for nothing.
        messages: the same as chat messages, where it is not one message of the user, such as the
            results of tools.
    """
    earned = None if reward is None else Reward.of(reward)
    return Response(text, earned, final=False, messages=tuple(messages))


def done(text: str = "", reward: Reward | float | bool = 0.0) -> Response:
    """End the episode.

    Args:
        text: the last thing the policy is told.
        reward: what the last turn earned.
    """
    return Response(text, Reward.of(reward), final=True)
