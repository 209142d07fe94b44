"""What an environment may have beside the methods of `TextEnv`, one protocol for each purpose.

To have the method is enough; deriving from the protocol says so to readers and type checkers. Code
that makes use of one calls the function of the same name here, which knows what holds for
environments without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.text import Text

    from rlenv.core.env import TextEnv
    from rlenv.core.task import Message, Task


class PolicyChat(Protocol):
    """How the policy reads and writes.

    `rlenv.models.chat_format.ChatFormat` is one, and so is the policy of an on-policy stage, which
    has a `backbone` beside: a `rlenv.models.shared_backbone.SharedBackbone`, or None.
    """

    @property
    def tokenizer(self) -> Any:
        """The policy's tokenizer."""

    @property
    def source(self) -> str:
        """Where the tokenizer came from, for messages."""


@runtime_checkable
class JudgesAhead(Protocol):
    """An environment that judges in other processes, or many replies at once."""

    def announce(self, reply: str) -> None:
        """Begin to judge the reply that the next `step` will bring.

        Rollouts announce a reply as soon as the policy has ended it, and take the first step when
        all replies are there, so that replies are judged while others are still sampled. What a
        step returns must not depend on it.
        """
        ...


@runtime_checkable
class ModelGraded(Protocol):
    """An environment whose grader is a model."""

    def meet(self, chat: PolicyChat) -> None:
        """Load the model, before the first rollout.

        Args:
            chat: how the policy reads and writes.

        Raises:
            UserError: the policy can't be judged here.
        """
        ...

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that its models keep, by what they are."""
        ...


@runtime_checkable
class Expert(Protocol):
    """An environment that knows how likely each reply of its expert is."""

    def choices(self, task: Task, messages: Sequence[Message]) -> Mapping[str, float] | None:
        """Return replies to their probabilities, which add up to 1; None where not known.

        Fine-tuning with `soft_targets` learns all of them from each reply that `demonstrate` draws.

        Args:
            task: the task being played.
            messages: the conversation so far; the last one is the environment's.
        """
        ...


@runtime_checkable
class Voting(Protocol):
    """An environment that tells which replies answer the same, so that they vote together."""

    def answer_in(self, task: Task, reply: str) -> str | None:
        """Return what a reply answers, in one spelling; None where it answers nothing."""
        ...


@runtime_checkable
class Audited(Protocol):
    """An environment that can judge by means that no reward uses, such as other tests."""

    def audit(self, task: Task, reply: str) -> bool | None:
        """Judge a reply by them; None where there are none for this task.

        `rlenv probe` looks for replies that the reward likes and this does not.
        """
        ...


@runtime_checkable
class Readable(Protocol):
    """An environment that writes out solved tasks in its own way, for pretraining."""

    def text(self, task: Task) -> str | None:
        """Return the solved task as plain text, or None to leave it out."""
        ...


@runtime_checkable
class Rendered(Protocol):
    """An environment whose messages look better on a terminal with colours."""

    def styled(self, message: Message) -> Text | None:
        """Return how a message looks there; None for its bare content."""
        ...


def announce(env: TextEnv, reply: str) -> None:
    """Let an environment begin to judge the reply that its next `step` will bring."""
    if isinstance(env, JudgesAhead):
        env.announce(reply)


def meet(env: TextEnv, chat: PolicyChat) -> None:
    """Let an environment whose grader is a model load it, for the policy it will judge."""
    if isinstance(env, ModelGraded):
        env.meet(chat)


def memory(env: TextEnv) -> Mapping[str, int]:
    """Return the bytes of an environment's models, by what they are."""
    return env.memory() if isinstance(env, ModelGraded) else {}


def choices(env: TextEnv, task: Task, messages: Sequence[Message]) -> Mapping[str, float] | None:
    """Return how likely each reply of an environment's expert is; None where not known."""
    return env.choices(task, messages) if isinstance(env, Expert) else None


def answer_in(env: TextEnv, task: Task, reply: str) -> str | None:
    """Return what a reply answers: by default the whole of it, white space aside."""
    if isinstance(env, Voting):
        return env.answer_in(task, reply)
    return " ".join(reply.split()) or None


def audit(env: TextEnv, task: Task, reply: str) -> bool | None:
    """Judge a reply by means that no reward uses; None where there are none."""
    return env.audit(task, reply) if isinstance(env, Audited) else None


def text(env: TextEnv, task: Task) -> str | None:
    """Return a solved task as plain text: by default its question and what the expert replies."""
    return env.text(task) if isinstance(env, Readable) else solved(env, task)


def solved(env: TextEnv, task: Task) -> str | None:
    """Return a task's question and what the expert replies to it; None where nobody knows."""
    reply = env.demonstrate(task, task.prompt)
    return None if reply is None else f"{task.question} {reply}"


def styled(env: TextEnv, message: Message) -> Text | None:
    """Return how an environment shows a message; None for its bare content."""
    return env.styled(message) if isinstance(env, Rendered) else None
