"""Playing tasks with a model behind a server."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from rlenv.common import failures
from rlenv.common.errors import RunFailed
from rlenv.core.env import TextEnv
from rlenv.core.protocols import announce
from rlenv.core.reward import Reward
from rlenv.core.task import Message, Task
from rlenv.engines.base import Sampling, mix
from rlenv.engines.chat import ChatReply
from rlenv.engines.openai import OpenAIChatModel, RequestRefused
from rlenv.evaluation.players import Played, Player
from rlenv.models.chat_format import with_system
from rlenv.models.chat_template import plain_roles
from rlenv.rollouts.rollout import EnvPool, env_seed, group_seed

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Episode:
    """One episode; a failed environment is data, as in a rollout."""

    env: TextEnv
    task: Task
    seed: int
    messages: list[Message] = field(default_factory=list)
    reward: Reward | None = None
    turns: int = 0
    truncated: bool = False
    over: bool = False
    failed: bool = False
    prompt_tokens: int = 0
    tokens: int = 0

    def begin(self, seed: int) -> None:
        try:
            _, info = self.env.reset(seed=env_seed(seed), options={"task": self.task})
            self.messages = info["messages"]
        except (Exception, SystemExit) as error:  # noqa: BLE001 a grader_error of this episode
            self.fail("reset", error)

    def fail(self, what: str, error: BaseException) -> None:
        why = failures.tell(log, f"{what} of {type(self.env).__name__}", error)
        self.reward = Reward.failed(f"{what}: {why}")
        self.over = self.failed = True

    def refuse(self, error: RequestRefused) -> None:
        """The model was never asked, so there is no verdict on it."""
        self.reward = Reward.failed(str(error))
        self.over = True

    def announce(self, reply: ChatReply) -> None:
        try:
            announce(self.env, reply.text)
        except (Exception, SystemExit):  # noqa: BLE001 the step reports it
            log.debug("announce of %s failed:\n%s", self.env, traceback.format_exc())

    def hear(self, reply: ChatReply) -> None:
        self.turns += 1
        self.prompt_tokens += reply.prompt_tokens
        self.tokens += reply.tokens
        try:
            _, _, terminated, truncated, info = self.env.step(reply.text)
            self.messages, earned = info["messages"], info["reward"]
        except (Exception, SystemExit) as error:  # noqa: BLE001 a grader_error of this episode
            self.fail("step", error)
            return
        self.reward = earned if self.reward is None else self.reward + earned
        self.truncated = truncated or not reply.stopped
        self.over = terminated or self.truncated

    def played(self) -> Played:
        reward = self.reward if self.reward is not None else Reward.failed("no reply")
        return Played(
            messages=self.messages,
            turns=self.turns,
            reward=reward,
            truncated=self.truncated,
            prompt_tokens=self.prompt_tokens,
            tokens=self.tokens,
        )


class ChatPlayer(Player):
    """A model behind an endpoint: many requests under way at once.

    Environments are stepped in the calling thread alone, as replies come in, so an episode of many
    turns holds up no other.

    Args:
        model: behind a server.
        system: a system message for every conversation; None for none.
    """

    def __init__(self, model: OpenAIChatModel, system: str | None = None) -> None:
        self.model, self.system = model, system
        self.batch_size = (
            4 * model.max_concurrency
        )  # kept together; what is lost at an interruption

    def play(
        self, pool: EnvPool, tasks: Sequence[Task], samples: int, sampling: Sampling, seed: int
    ) -> list[list[Played]]:
        """See `Player.play`.

        Raises:
            UserError: the endpoint refuses every request.
            RunFailed: it can't be reached.
        """
        envs = iter(pool.take(len(tasks) * samples))
        groups = []
        for task in tasks:
            of_group = group_seed(seed, task)
            group = [_Episode(next(envs), task, mix(of_group, 0, n)) for n in range(samples)]
            for episode in group:
                episode.begin(of_group)
            groups.append(group)
        episodes = [episode for group in groups for episode in group]
        self._finish([e for e in episodes if not e.over], pool, sampling)
        for episode in episodes:
            if episode.failed or episode.env.timed_out:
                pool.discard(episode.env)
        return [[episode.played() for episode in group] for group in groups]

    def _finish(self, episodes: Sequence[_Episode], pool: EnvPool, sampling: Sampling) -> None:
        executor = ThreadPoolExecutor(max_workers=self.model.max_concurrency)
        waiting: dict[Future[ChatReply], _Episode] = {}

        def ask(episode: _Episode) -> None:
            said = plain_roles(with_system(episode.messages, self.system))
            seed = mix(episode.seed, episode.turns)
            waiting[executor.submit(self.model.ask, said, sampling, seed)] = episode

        try:
            for episode in episodes:
                ask(episode)
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                heard = []
                for future in done:
                    episode = waiting.pop(future)
                    try:
                        heard.append((episode, future.result()))
                    except RequestRefused as error:
                        episode.refuse(error)
                for episode, reply in heard:
                    episode.announce(reply)
                for episode, reply in heard:
                    episode.hear(reply)
                    pool.stepped(episode.env)
                    if not episode.over:
                        ask(episode)
        except RunFailed as error:
            raise RunFailed(
                f"{error}; what was replied so far is kept: run the same command again to go on"
            ) from None
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
