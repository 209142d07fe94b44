"""Playing episodes: many environments at once, in step with an engine."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rlenv.chat import ChatFormat
from rlenv.engines.base import Completion, Engine, Sampling, mix
from rlenv.env import TextEnv
from rlenv.reward import Reward
from rlenv.task import Task
from rlenv.trajectory import Group, Trajectory

log = logging.getLogger(__name__)


class EnvPool:
    """As many instances of one environment as episodes run at once; made when first needed."""

    def __init__(self, make: Callable[[], TextEnv]) -> None:
        self._make = make
        self._envs: list[TextEnv] = []

    def take(self, count: int) -> list[TextEnv]:
        """Return `count` different instances."""
        while len(self._envs) < count:
            self._envs.append(self._make())
        return self._envs[:count]


@dataclass
class _Episode:
    env: TextEnv
    trajectory: Trajectory
    seed: int
    over: bool = False

    def fail(self, what: str, error: Exception) -> None:
        """A failed environment is data: the episode leaves the batch and the others go on."""
        log.warning("%s of %s failed:\n%s", what, self.env, traceback.format_exc())
        self.trajectory.reward = Reward.failed(f"{what}: {type(error).__name__}: {error}")
        self.over = True


def play(
    pool: EnvPool,
    engine: Engine,
    chat: ChatFormat,
    tasks: Sequence[Task],
    *,
    samples: int,
    sampling: Sampling,
    seed: int,
    max_length: int,
) -> list[Group]:
    """Play every task several times.

    All rollouts of a group reset to the same task with the same environment seed; what differs
    is the policy's own sampling, which depends on (seed, task, sample, turn) alone.

    Args:
        pool: environments to play in.
        engine: the policy.
        chat: how conversations become tokens.
        tasks: one group each.
        samples: rollouts in a group.
        sampling: how the policy samples; max_tokens holds for each turn.
        seed: of this call.
        max_length: an episode that would grow past this many tokens is truncated.

    Returns:
        One group a task, in order.

    Raises:
        RuntimeError: an environment did not begin all rollouts of a group alike.
    """
    envs = pool.take(len(tasks) * samples)
    episodes: list[_Episode] = []
    seen: Counter[str] = Counter()  # a task drawn twice gets samples of its own
    for number, task in enumerate(tasks):
        openings: dict[str, list[int]] = {}  # first observation -> the tokens of its prompt
        group_seed = mix(seed, int(task.key[:15], 16))
        for sample in range(samples):
            env = envs[number * samples + sample]
            own_seed = mix(group_seed, seen[task.key], sample)
            episode = _Episode(env, Trajectory(task, [], [], []), own_seed)
            episodes.append(episode)
            try:
                opening, info = env.reset(seed=group_seed % 2**31, options={"task": task})
            except Exception as error:  # noqa: BLE001 becomes a grader_error of this episode
                episode.fail("reset", error)
                continue
            if opening not in openings:
                openings[opening] = chat.prompt(info["messages"])
            trajectory = episode.trajectory
            trajectory.messages = info["messages"]
            trajectory.token_ids = list(openings[opening])
            trajectory.loss_mask = [0] * len(trajectory.token_ids)
            trajectory.logprobs = [0.0] * len(trajectory.token_ids)
        seen[task.key] += 1
        if len(openings) > 1:
            raise RuntimeError(
                f"the rollouts of task {task.key} began differently; an environment must draw "
                "its randomness from the seed it is reset with"
            )
    turn = 0
    while live := [e for e in episodes if not e.over]:
        fitting = []
        for episode in live:
            trajectory = episode.trajectory
            if len(trajectory.token_ids) + 1 > max_length:
                trajectory.truncated = episode.over = True
                if not trajectory.turn_ends:  # the policy never got to say anything
                    trajectory.reward = Reward.failed(
                        f"the prompt has {len(trajectory.token_ids)} tokens, which leaves no room "
                        f"for a reply in a context of {max_length}"
                    )
            else:
                fitting.append(episode)
        if not fitting:
            break
        room = max_length - max(len(e.trajectory.token_ids) for e in fitting)
        completions = engine.generate(
            [e.trajectory.token_ids for e in fitting],
            replace(sampling, max_tokens=min(sampling.max_tokens, room)),
            [mix(e.seed, turn) for e in fitting],
        )
        for episode, completion in zip(fitting, completions, strict=True):
            _advance(episode, completion, chat)
        turn += 1
    return [
        Group(task, [e.trajectory for e in episodes[n * samples : (n + 1) * samples]])
        for n, task in enumerate(tasks)
    ]


def _advance(episode: _Episode, completion: Completion, chat: ChatFormat) -> None:
    """Hand a completion to the environment and take down what came of it."""
    t = episode.trajectory
    t.token_ids += completion.token_ids
    t.loss_mask += [1] * len(completion.token_ids)
    t.logprobs += completion.logprobs
    t.turn_ends.append(len(t.token_ids))
    before = t.messages
    try:
        _, value, terminated, truncated, info = episode.env.step(chat.decode(completion.token_ids))
    except Exception as error:  # noqa: BLE001 becomes a grader_error of this episode
        t.turn_rewards.append(0.0)
        episode.fail("step", error)
        return
    t.messages = info["messages"]
    t.turn_rewards.append(value)
    earned = info["reward"]
    t.reward = earned if len(t.turn_ends) == 1 else t.reward + earned
    # a reply without its stop token can't be followed by another turn: the template would put
    # words into the policy's mouth
    t.truncated = truncated or not completion.stopped
    episode.over = terminated or t.truncated
    if not episode.over:
        ids = chat.after_reply(before, info["messages"][len(before) + 1 :])
        t.token_ids += ids
        t.loss_mask += [0] * len(ids)
        t.logprobs += [0.0] * len(ids)
