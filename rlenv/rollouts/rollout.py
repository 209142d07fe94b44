"""Playing episodes: many environments at once, in step with an engine."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from rlenv.common import failures
from rlenv.common.errors import RunFailed
from rlenv.core.env import TextEnv
from rlenv.core.protocols import announce
from rlenv.core.reward import Reward
from rlenv.core.task import Message, Task
from rlenv.core.trajectory import Group, Trajectory
from rlenv.engines.base import Completion, Engine, Request, Sampling, mix
from rlenv.models.chat_format import ChatFormat

log = logging.getLogger(__name__)

MOST_TIMEOUTS = 4  # steps in a row that ran into their limit, after which the run ends


class EnvPool:
    """As many instances of one environment as episodes run at once; made when first needed.

    Attributes:
        stepping: seconds that rollouts have spent in `step`, waiting for verdicts included.
    """

    def __init__(self, make: Callable[[], TextEnv]) -> None:
        self._make = make
        self.stepping = 0.0
        self._envs: list[TextEnv] = []
        self._ended = 0  # steps in a row that ran into the environment's limit

    def take(self, count: int) -> list[TextEnv]:
        """Return `count` different instances."""
        while len(self._envs) < count:
            self._envs.append(self._make())
        return self._envs[:count]

    def stepped(self, env: TextEnv) -> None:
        """Take note of whether a step came to an end by itself.

        Raises:
            RunFailed: none of the last ones did, so that the others won't either.
        """
        self._ended = self._ended + 1 if env.timed_out else 0
        if self._ended >= MOST_TIMEOUTS:
            name = type(env).__name__
            raise RunFailed(
                f"{name} did not answer a reply within {env.step_timeout:g} s, {self._ended} times "
                f"in a row; mend what {name}.respond or score waits for, or give the environment "
                "a larger step_timeout"
            )

    def discard(self, env: TextEnv) -> None:
        """Never hand out an instance again: it failed, and may be in any state."""
        self._envs = [other for other in self._envs if other is not env]


def group_seed(seed: int, task: Task) -> int:
    """Return the seed of a task's rollouts in a call of `play` with a seed."""
    return mix(seed, int(task.key[:15], 16))


class BeganDifferently(RunFailed, RuntimeError):
    """An environment did not begin all rollouts of a group alike."""


def env_seed(of_group: int) -> int:
    """Return what the environments of a group are reset with, given the group's seed."""
    return of_group % 2**31


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
        seed: of everything that is drawn in this call.
        max_length: an episode that would grow past this many tokens is truncated.

    Returns:
        One group a task, in order.

    Raises:
        RuntimeError: an environment did not begin all rollouts of a group alike.
    """
    drawn: Counter[str] = Counter()  # a task drawn twice gets samples of its own
    seeds = []
    for task in tasks:
        of_group = group_seed(seed, task)
        seeds.append((of_group, [mix(of_group, drawn[task.key], n) for n in range(samples)]))
        drawn[task.key] += 1
    groups = []
    at_once = max(1, engine.max_rows // samples)  # whole groups: they share their prompt's cache
    for first in range(0, len(tasks), at_once):
        wave = range(first, min(first + at_once, len(tasks)))
        envs = iter(pool.take(len(wave) * samples))
        begun = [_begin(envs, chat, tasks[n], *seeds[n]) for n in wave]
        episodes = [episode for group in begun for episode in group]
        _finish(episodes, pool, engine, chat, sampling, max_length)
        for episode in episodes:
            if episode.failed or episode.env.timed_out:
                pool.discard(episode.env)
        groups += [
            Group(tasks[n], [episode.trajectory for episode in group])
            for n, group in zip(wave, begun, strict=True)
        ]
    return groups


class Playing(Protocol):
    """What can play: `rlenv.Policy` is one."""

    @property
    def engine(self) -> Engine:
        """What generates its replies."""

    @property
    def chat(self) -> ChatFormat:
        """How it reads and writes conversations."""

    @property
    def max_length(self) -> int:
        """The longest episode, in tokens."""


def rollout(
    policy: Playing,
    env: TextEnv,
    tasks: Sequence[Task],
    *,
    group_size: int,
    seed: int,
    temperature: float = 1.0,
    max_tokens: int = 256,
) -> list[Group]:
    """Let a policy play every task several times.

    What is sampled depends on the seed, the task, the number of the rollout and the turn alone.

    Args:
        policy: who plays, such as `rlenv.Policy.load("runs/quickstart/sft")`.
        env: where; more instances like it are made, so that all episodes are played at once.
        tasks: one group each.
        group_size: rollouts in a group. They begin alike, down to the environment's randomness.
        seed: another one gives other replies to the same tasks, such as the number of a step.
        temperature: to sample with; 0 takes the most likely token.
        max_tokens: of a reply.

    Returns:
        One group a task, in order. A rollout whose grader failed has no reward to learn from:
        `trajectory.reward.judged` is false.

    Example:
        >>> tasks = env.tasks.for_training().sample_many(64, seed=step)
        >>> groups = rlenv.rollout(policy, env, tasks, group_size=8, seed=step)
        >>> groups[0].trajectories[0].reply, groups[0].trajectories[0].reward.value
        ('42', 1.0)
    """
    return play(
        pool_of(env),
        policy.engine,
        policy.chat,
        tasks,
        samples=group_size,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
        seed=seed,
        max_length=policy.max_length,
    )


_pools: WeakKeyDictionary[TextEnv, EnvPool] = WeakKeyDictionary()


def pool_of(env: TextEnv) -> EnvPool:
    """Return the pool of instances like an environment; the same one as long as that lives."""
    if env not in _pools:
        _pools[env] = EnvPool(env.maker)
    return _pools[env]


@dataclass
class _Episode:
    env: TextEnv
    trajectory: Trajectory
    seed: int
    over: bool = False
    failed: bool = False

    def fail(self, what: str, error: BaseException) -> None:
        """A failed environment is data: the episode leaves the batch and the others go on."""
        why = failures.tell(log, f"{what} of {type(self.env).__name__}", error)
        self.trajectory.reward = Reward.failed(f"{what}: {why}")
        self.over = self.failed = True

    def announce(self, reply: str) -> None:
        """Let the environment begin to judge; what goes wrong here goes wrong again in `step`."""
        try:
            announce(self.env, reply)
        except (Exception, SystemExit):  # noqa: BLE001 the step reports it
            log.debug("announce of %s failed:\n%s", self.env, traceback.format_exc())

    def read(self, ids: Sequence[int], messages: list[Message]) -> None:
        """Append what the environment says."""
        t = self.trajectory
        t.token_ids += ids
        t.loss_mask += [0] * len(ids)
        t.logprobs += [0.0] * len(ids)
        t.messages = messages

    def request(self, sampling: Sampling, max_length: int) -> Request | None:
        """Return what to ask of the engine, or None when no room is left for a reply."""
        t = self.trajectory
        room = max_length - len(t.token_ids)
        if room < 1:
            t.truncated = self.over = True
            if not t.turn_ends:  # the policy never got to say anything
                t.reward = Reward.failed(
                    f"the prompt has {len(t.token_ids)} tokens, which leaves no room for a reply "
                    f"in a context of {max_length}"
                )
            return None
        return Request(
            list(t.token_ids),
            seed=mix(self.seed, len(t.turn_ends)),
            max_tokens=min(sampling.max_tokens, room),
            conversation=id(self),
        )


def _begin(
    envs: Iterator[TextEnv], chat: ChatFormat, task: Task, of_group: int, seeds: Sequence[int]
) -> list[_Episode]:
    """Reset the environments of one group."""
    episodes = []
    openings: dict[str, list[int]] = {}  # first observation -> the tokens of its prompt
    for seed in seeds:
        episode = _Episode(next(envs), Trajectory(task, [], [], []), seed)
        episodes.append(episode)
        try:
            opening, info = episode.env.reset(seed=env_seed(of_group), options={"task": task})
            messages = info["messages"]
        except (Exception, SystemExit) as error:  # noqa: BLE001 a grader_error of this episode
            episode.fail("reset", error)
            continue
        if opening not in openings:
            openings[opening] = chat.prompt(messages)
        episode.read(openings[opening], messages)
    if len(openings) > 1:
        raise BeganDifferently(
            f"the rollouts of task {task.key} began differently; an environment must draw "
            "its randomness from the seed it is reset with"
        )
    return episodes


def _finish(
    episodes: Sequence[_Episode],
    pool: EnvPool,
    engine: Engine,
    chat: ChatFormat,
    sampling: Sampling,
    max_length: int,
) -> None:
    """Play episodes to their end, turn by turn."""
    with engine.session() as session:
        while True:
            live = [episode for episode in episodes if not episode.over]
            asked = [(episode, episode.request(sampling, max_length)) for episode in live]
            turns = [(episode, request) for episode, request in asked if request is not None]
            if not turns:
                return
            said: dict[int, tuple[Completion, str]] = {}
            for n, completion in session.stream([request for _, request in turns], sampling):
                said[n] = completion, chat.decode(completion.token_ids)
                turns[n][0].announce(said[n][1])  # judged while the others go on
            began = time.monotonic()
            for n, (episode, _) in enumerate(turns):
                _advance(episode, *said[n], chat)
                pool.stepped(episode.env)
            pool.stepping += time.monotonic() - began


def _advance(episode: _Episode, completion: Completion, reply: str, chat: ChatFormat) -> None:
    """Hand a completion to the environment and take down what came of it."""
    t = episode.trajectory
    t.token_ids += completion.token_ids
    t.loss_mask += [1] * len(completion.token_ids)
    t.logprobs += completion.logprobs
    t.turn_ends.append(len(t.token_ids))
    before = t.messages
    try:
        _, value, terminated, truncated, info = episode.env.step(reply)
        t.messages, earned = info["messages"], info["reward"]
    except (Exception, SystemExit) as error:  # noqa: BLE001 a grader_error of this episode
        t.turn_rewards.append(0.0)
        episode.fail("step", error)
        return
    t.turn_rewards.append(value)
    t.reward = earned if len(t.turn_ends) == 1 else t.reward + earned
    # a reply that was cut off can't be followed by another turn: the template would put words
    # into the policy's mouth
    t.truncated = truncated or not completion.stopped
    episode.over = terminated or t.truncated
    if not episode.over:
        # else a stop text ended it, or the end of the sequence where a turn ends otherwise
        ended = completion.token_ids[-1] == chat.stop_ids[0]
        ids = chat.after_reply(before, t.messages[len(before) + 1 :], ended=ended)
        episode.read(ids, t.messages)
