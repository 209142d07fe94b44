"""What a rollout leaves behind: the tokens as they were sampled, and what they earned.

One token contract holds from here to the loss, the evaluation and preference pairs: `token_ids`
are what the policy read and sampled, never re-tokenized.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlenv.core.reward import Reward
from rlenv.core.task import Message, Task

if TYPE_CHECKING:
    from rlenv.core.env import TextEnv


@dataclass
class Trajectory:
    """One episode of one policy.

    Attributes:
        task: the task that was played.
        token_ids: prompt, replies and the environment's turns, in order.
        loss_mask: 1 where the policy sampled the token, else 0; as long as token_ids.
        logprobs: of each sampled token at the temperature it was sampled with; 0.0 elsewhere.
        turn_ends: for each of the policy's turns, the index one past its last token.
        turn_rewards: what each turn earned; as long as turn_ends.
        reward: the episode's total, with components and status.
        messages: the conversation as text.
        truncated: the episode was cut off by a limit on tokens or turns.
    """

    task: Task
    token_ids: list[int]
    loss_mask: list[int]
    logprobs: list[float]
    turn_ends: list[int] = field(default_factory=list)
    turn_rewards: list[float] = field(default_factory=list)
    reward: Reward = field(default_factory=lambda: Reward(0.0))
    messages: list[Message] = field(default_factory=list)
    truncated: bool = False

    @property
    def reply(self) -> str:
        """The policy's last message."""
        said = [m["content"] for m in self.messages if m["role"] == "assistant"]
        return str(said[-1]) if said else ""

    @property
    def sampled_tokens(self) -> int:
        """How many tokens the policy sampled."""
        return sum(self.loss_mask)

    def record(self, env: TextEnv, advantages: Sequence[float] | None = None) -> dict[str, Any]:
        """Return the episode as plain values, as `episodes.jsonl` keeps it.

        Args:
            env: one like the one that was played, which says from which reward on it is solved.
            advantages: the mean advantage of each turn's tokens; None if it was not trained on.
        """
        reward = self.reward
        return {
            "task_key": self.task.key,
            "prompt": self.task.question,
            "reply": self.reply,
            "messages": [dict(m) for m in self.messages],
            "reward": reward.value if reward.judged else None,
            "components": dict(reward.components),
            "turn_rewards": list(self.turn_rewards),
            "advantages": None if advantages is None else list(advantages),
            "status": reward.status,
            "verdict": reward.verdict(env.solved_at, env.reward_range[0]),
            "detail": reward.detail,
            "truncated": self.truncated,
            "tokens": self.sampled_tokens,
        }


@dataclass
class Group:
    """Several rollouts of one task from the same state."""

    task: Task
    trajectories: list[Trajectory]

    def __post_init__(self) -> None:
        for trajectory in self.trajectories:
            if trajectory.task.key != self.task.key:
                raise ValueError(
                    f"a group plays one task, got {trajectory.task.key} beside {self.task.key}"
                )
