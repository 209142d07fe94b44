"""Text environments on the Gymnasium interface.

Derive from `SingleTurnEnv` and write `generate` and `score`, or from `TextEnv` and write
`generate` and `respond`. Six methods are an author's to write, and two are enough: `generate`,
`start`, `opening`, `respond`, `score` and `demonstrate`. Splits, seeds, spaces and the bookkeeping
of an episode come for free.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np

from rlenv.common import failures
from rlenv.common.errors import UserError, did_you_mean
from rlenv.common.time_limit import TimedOut, call_within
from rlenv.core.episode import EpisodeRNGs, StepResult, UnicodeText, done, turn
from rlenv.core.reward import Reward, Rubric, forget
from rlenv.core.rows import Rows
from rlenv.core.task import Message, Task, TaskSet
from rlenv.core.task_source import TaskSource

if TYPE_CHECKING:
    from typing_extensions import Self

log = logging.getLogger(__name__)

EPSILON = 1e-6  # what rounding may add to a reward


class TextEnv(TaskSource, gymnasium.Env[str, str]):
    """An environment of one or more turns whose observations and actions are text.

    An author writes `generate` (or passes `tasks`) and `respond`, `start` where an episode needs a
    state of its own, and `demonstrate` where there is an expert. One instance plays one episode at
    a time. Where tasks are no function's but data, see `rlenv.core.task_source.TaskSource`; what
    else an environment may have, such as a grader that is a model, is in `rlenv.core.protocols`.

    Args:
        split: which tasks to play: `train`, `validation` or `test`.
        tasks: a task set to play instead of the environment's own.
        rows: rows of data to make tasks from instead of `generate`: a file, a `datasets` id or
            the rows themselves, see `rlenv.core.rows.load_rows`.
        columns: which columns hold the `prompt` and the `answer`.
        max_turns: after so many replies the episode is truncated; None for no limit.
        rubric: other weights for the class's components: a `Rubric`, or its arguments as a mapping.
            An episode then counts as solved when it earns the rubric's maximum.
        step_timeout: seconds after which a `respond` or `score` that did not return is ended, which
            counts as a failure of the grader; None for the class's own limit, 60 s by default.
        render_mode: `ansi` to render the transcript as text.

    Raises:
        UserError: the rubric names a component that the class does not measure.

    Attributes:
        rubric: the weights of the reward's components, or None.
        step_timeout: the limit in seconds; None in a class whose graders have their own.
        enforces_range: whether an episode that leaves `reward_range` is not judged; the check of
            environments looks itself.
        timed_out: whether a step was ended by it, so that the instance may be in any state.
        solved_at: the total reward from which an episode counts as solved (pass@k).
        reward_range: the lowest and the highest total reward of an episode.
        random: this episode's own `random.Random`, the same in all rollouts of a group.
        characters: rare ones that it may say, for vocabularies that are made of what it says.

    Example:
        >>> import rlenv
        >>> env = rlenv.make("rlenv/Arithmetic-v0")
        >>> question, info = env.reset(seed=0)
        >>> _, reward, terminated, _, info = env.step("42")
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"]}  # noqa: RUF012 (Gymnasium's own form)
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    solved_at: ClassVar[float] = 1.0
    step_timeout: float | None = 60.0
    timed_out: bool = False
    enforces_range: bool = True
    rubric: Rubric | None = None
    characters: str = ""
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep what the environment is made with, so that more of its kind can be made."""
        made = super().__new__(cls)
        made._made_with = (args, kwargs)
        return made

    def __init__(
        self,
        *,
        split: str = "train",
        tasks: TaskSet | None = None,
        rows: str | Path | Rows | None = None,
        columns: Mapping[str, str] | None = None,
        max_turns: int | None = None,
        rubric: Rubric | Mapping[str, Any] | None = None,
        step_timeout: float | None = None,
        render_mode: str | None = None,
    ) -> None:
        if rubric is not None:
            self.rubric = self._weighed(rubric)
            lowest, highest = self.rubric.minimum, self.rubric.maximum
            self.reward_range = (lowest, highest)  # type: ignore[misc]
            self.solved_at = highest  # type: ignore[misc]
        if step_timeout is not None:
            if not (isinstance(step_timeout, (int, float)) and 0 < step_timeout < math.inf):
                raise UserError(f"step_timeout is a number of seconds, not {step_timeout!r}")
            self.step_timeout = float(step_timeout)
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode is None or 'ansi', not {render_mode!r}")
        self.observation_space = UnicodeText()
        self.action_space = UnicodeText()
        self.max_turns = max_turns
        self.render_mode = render_mode
        self._from(split, tasks, rows, columns)
        self.task: Task | None = None
        self._rngs = EpisodeRNGs()
        self._messages: list[Message] = []
        self._turns = 0
        self._total_reward = Reward(0.0)  # in this episode, so far
        self._running = False

    @property
    def random(self) -> Random:
        """This episode's own generator, the same in all rollouts of a group."""
        return self._rngs.of_episode

    # Where Gymnasium keeps the generator that it shows as `np_random`, and its seed

    @property
    def _np_random(self) -> np.random.Generator | None:
        return self._rngs.of_env

    @_np_random.setter
    def _np_random(self, generator: np.random.Generator | None) -> None:
        self._rngs.of_env = generator

    @property
    def _np_random_seed(self) -> int | None:
        return self._rngs.seed

    @_np_random_seed.setter
    def _np_random_seed(self, seed: int | None) -> None:
        self._rngs.seed = seed

    @property
    def maker(self) -> Callable[[], Self]:
        """What makes more instances, with the arguments that this one was made with.

        One instance plays one episode at a time; a group of rollouts takes as many as it has
        members. What was changed since is not passed on.
        """
        args, kwargs = self._made_with
        return partial(type(self), *args, **kwargs)

    # What an author writes

    def start(self, task: Task) -> None:
        """Set up what an episode needs besides its task; by default nothing."""

    def opening(self, task: Task) -> Sequence[Message]:
        """Return the messages that open the conversation: by default the task's prompt."""
        return task.prompt

    def respond(self, task: Task, reply: str) -> str | StepResult:
        """Answer a reply: a text to go on, `turn(...)` with a reward, or `done(...)` to end."""
        raise NotImplementedError(f"{type(self).__name__} needs respond(task, reply)")

    def score(self, task: Task, reply: str) -> Reward | float | bool:
        """Judge the reply that answers the task: by the rubric's components, unless overridden."""
        if self.rubric is None:
            raise NotImplementedError(f"{type(self).__name__} needs score(task, reply) or a rubric")
        return self.rubric.judge(self, task, reply)

    def demonstrate(self, task: Task, messages: Sequence[Message]) -> str | None:
        """Return what an expert would reply here, or None where nobody knows.

        Supervised fine-tuning learns from it, and `rlenv check` tests that it earns the maximum.

        Args:
            task: the task being played.
            messages: the conversation so far; the last one is the environment's.
        """
        return None

    # The Gymnasium interface

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: seeds this environment's own generator; None goes on with it.
            options: `{"task": Task}` plays that task instead of drawing one.

        Returns:
            The first observation, and info with `messages`, `task_key` and `turn`.
        """
        self._rngs.begin_episode(seed)
        chosen = (options or {}).get("task")
        task = chosen if chosen is not None else self.tasks.sample(self.random)
        self.task = task
        opening = self.opening(task)
        if isinstance(opening, str) or not all(isinstance(m, Mapping) for m in opening):
            raise TypeError(f"opening must return chat messages, not {opening!r:.80}")
        self._messages = [dict(message) for message in opening]
        self._turns = 0
        self._running = True
        self.timed_out = False
        forget(self)
        self.start(task)
        return task.question, self._info(None)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play one reply.

        Args:
            action: the policy's reply, any string.

        Returns:
            The next observation; this turn's reward as a float (NaN if the grader failed);
            whether the episode ended by itself; whether it ran out of turns; and info with
            `reward` (a `Reward`), `messages`, `task_key` and `turn`.

        Raises:
            gymnasium.error.ResetNeeded: no episode is running.
        """
        if not self._running or self.task is None:
            raise gymnasium.error.ResetNeeded("the episode is over: call reset() first")
        self._turns += 1
        self._messages.append({"role": "assistant", "content": action})
        response = self._ask(self.task, action)
        self._messages += [dict(message) for message in response.said]
        truncated = not response.final and self._turns == self.max_turns
        self._running = not (response.final or truncated)
        reward = response.reward if response.reward is not None else Reward(0.0)
        self._total_reward = reward if self._turns == 1 else self._total_reward + reward
        if not self._running and self.enforces_range:
            reward = self._within_range(reward)
        return response.text, reward.value, response.final, truncated, self._info(reward)

    def render(self) -> str | None:
        """Return the transcript of the episode, or None if nothing is to be rendered."""
        if self.render_mode is None:
            return None
        return "\n".join(f"{m['role']}: {m['content']}" for m in self._messages)

    def _weighed(self, rubric: Rubric | Mapping[str, Any]) -> Rubric:
        known = type(self).rubric
        if known is None:
            raise UserError(f"{type(self).__name__} has no components that a rubric could weigh")
        try:
            made = rubric if isinstance(rubric, Rubric) else Rubric(**rubric)
        except (TypeError, ValueError) as error:
            raise UserError(f"{rubric!r} is no rubric: {error}") from None
        for name in made.weights:
            if name not in known.weights:
                raise UserError(
                    f"{type(self).__name__} measures {', '.join(known.weights)}, not {name!r}."
                    f"{did_you_mean(name, known.weights)}"
                )
        return made.reweighed(known)

    def _judge_ahead(self, reply: str) -> None:
        """Begin what takes time to judge the reply that will be scored next."""
        # an author's own score may ask for other things than the rubric, or in another order
        if self.task is not None and self.rubric and type(self).score is TextEnv.score:
            self.rubric.announce(self, self.task, reply)

    def _ask(self, task: Task, reply: str) -> StepResult:
        """Call the author's `respond`; a bug in there costs this episode, not the run."""
        try:
            answer = call_within(self.step_timeout, self._respond_to, task, reply)
            if isinstance(answer, StepResult):
                return answer
            if isinstance(answer, str):
                return turn(answer)
            raise TypeError(f"respond must return a text, turn(...) or done(...), not {answer!r}")
        except TimedOut:
            self.timed_out = True
            said = f"{type(self).__name__} did not answer a reply within {self.step_timeout:g} s"
            log.warning("%s, on task %s", said, task.key)
            return done(reward=Reward.failed(said))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 SystemExit too; told once and counted
            return done(reward=Reward.failed(failures.tell(log, type(self).__name__, error)))

    def _respond_to(self, task: Task, reply: str) -> str | StepResult:
        """Answer a reply; an environment that is more than its author's `respond` does it here."""
        return self.respond(task, reply)

    def _within_range(self, reward: Reward) -> Reward:
        """Return the last reward of an episode; failed where all of them add up to what can't be.

        Figures and advantages would mean nothing that is said of them.
        """
        low, high = self.reward_range
        total = self._total_reward.value
        if not self._total_reward.judged or low - EPSILON <= total <= high + EPSILON:
            return reward
        why = ValueError(
            f"a reward of {total:g} lies outside of reward_range, {low:g} to {high:g}; mend the "
            f"reward, or set reward_range in the class {type(self).__name__}"
        )
        return Reward.failed(failures.tell(log, type(self).__name__, why))

    def _info(self, reward: Reward | None) -> dict[str, Any]:
        assert self.task is not None
        info: dict[str, Any] = {
            # copies: what a caller does to them must not reach the episode
            "messages": [dict(message) for message in self._messages],
            "task_key": self.task.key,
            "turn": self._turns,
        }
        if reward is not None:
            info["reward"] = reward
        return info


class SingleTurnEnv(TextEnv):
    """An environment of one question and one reply. An author writes `generate` and `score`.

    Instead of `score`, an author may set `rubric` and write a method for each of its components,
    `def NAME(self, task, reply) -> float | bool`, plain or async.

    Args:
        **kwargs: see `TextEnv`.
    """

    def announce(self, reply: str) -> None:
        """Begin to judge the reply by components that are async or a judge model's."""
        if type(self).respond is SingleTurnEnv.respond:
            self._judge_ahead(reply)

    def respond(self, task: Task, reply: str) -> StepResult:
        """Score the reply and end the episode."""
        return done(reward=self.score(task, reply))

    def demonstrate(self, task: Task, messages: Sequence[Message]) -> str | None:
        """Return the task's answer as text."""
        return None if task.answer is None else str(task.answer)
