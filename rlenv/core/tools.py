"""Environments in which the policy calls tools before it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from rlenv import parsing
from rlenv.common.errors import UserError
from rlenv.common.time_limit import call_within
from rlenv.core.env import TextEnv
from rlenv.core.episode import StepResult, done, turn
from rlenv.core.task import Message, Task
from rlenv.core.tool_schema import NotDescribed, describe

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "_rlenv_tool"
_ERROR = 300  # characters of an error that the policy gets to read


class ToolFailed(Exception):
    """Raise it in a tool that broke through no fault of the policy: the episode is not judged."""


def tool(method: Function) -> Function:
    """Mark a method of a `ToolEnv` as a tool."""
    setattr(method, _MARK, True)
    return method


class Tool:
    """A Python function as a tool.

    Args:
        function: with type hints and a Google-style docstring that describes each argument.

    Attributes:
        name: what the policy calls it.

    Raises:
        UserError: a type hint or a description is missing.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = function.__name__

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The tool in the JSON form of transformers' chat templates."""
        try:
            return describe(self.function)
        except NotDescribed as error:
            raise UserError(
                f"the tool {self.name} needs a type hint and a line under Args for each argument: "
                f"{error}"
            ) from None

    def __call__(self, arguments: Mapping[str, Any], seconds: float | None = None) -> str:
        """Run the tool.

        Args:
            arguments: as the policy gave them; they are converted to the hinted types.
            seconds: to wait for it; None for as long as it takes.

        Returns:
            What the policy gets to read: the result, or what went wrong.

        Raises:
            ToolFailed: the tool itself broke.
        """
        from pydantic import ValidationError

        try:
            value = _within(seconds, lambda: self._checked(**arguments))
        except ToolFailed:
            raise
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            return f"error: {'; '.join(faults)}"[:_ERROR]
        except TimeoutError as error:
            return f"error: {error or 'it took too long'}"[:_ERROR]
        except Exception as error:  # noqa: BLE001 what a tool raises is an answer to the policy
            return f"error: {type(error).__name__}: {error}"[:_ERROR]
        return value if isinstance(value, str) else json.dumps(value, default=str)

    @cached_property
    def _checked(self) -> Callable[..., Any]:
        from pydantic import validate_call

        return validate_call(self.function)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tool, (self.function,)


class ToolEnv(TextEnv):
    """An environment in which the policy may call tools before it answers.

    A reply with tool calls (`rlenv.parsing.tool_calls` says what counts) gets their results as
    messages of the role `tool`; the first reply without one is the answer, which `score` judges.
    Errors go back to the policy as text. What the policy itself writes as a tool's result or a
    user's message is a part of its reply and nothing else.

    Which tools there are goes with the conversation's first message; chat templates that know
    tools tell the policy in their own way, with others a system message does.

    An author writes `generate` and `score`, and gives functions as `tools` or marks methods with
    `rlenv.tool`. Where replies without a call don't end the episode, an author writes `respond`
    instead of `score`: it gets those replies alone, calls are run before.

    Args:
        tools: functions with type hints and Google-style docstrings, besides the marked methods.
        max_calls: in an episode; later ones are refused.
        call_seconds: for which a call is waited for; None for no limit. A thread can't be killed:
            what must end belongs in the sandbox.
        result_chars: longer results are cut.
        max_turns: by default `max_calls + 1`, which leaves one reply besides the calls; give more
            where `respond` answers several.
        **kwargs: see `TextEnv`.

    Raises:
        UserError: no tools, two of one name, or one without type hints or descriptions.

    Example:
        >>> class Bank(rlenv.ToolEnv):
        ...     @rlenv.tool
        ...     def balance(self, account: str) -> int:
        ...         '''Look up how much is in an account.
        ...
        ...         Args:
        ...             account: its name.
        ...         '''
        ...         return self.task.metadata["accounts"][account]
    """

    def __init__(
        self,
        *,
        tools: Iterable[Callable[..., Any]] = (),
        max_calls: int = 8,
        call_seconds: float | None = 10.0,
        result_chars: int = 2000,
        max_turns: int | None = None,
        **kwargs: Any,
    ) -> None:
        if max_calls < 1 or result_chars < 1:
            raise UserError("max_calls and result_chars are at least 1")
        super().__init__(max_turns=max_calls + 1 if max_turns is None else max_turns, **kwargs)
        self.max_calls = max_calls
        self.call_seconds = call_seconds
        self.result_chars = result_chars
        self.tools: dict[str, Tool] = {}
        for function in (*tools, *self._marked()):
            made = Tool(function)
            if made.name in self.tools:
                raise UserError(f"two tools are called {made.name}; give one another name")
            self.tools[made.name] = made
        if not self.tools:
            raise UserError(
                f"{type(self).__name__} has no tools: pass functions, or mark methods with "
                "rlenv.tool"
            )
        self._offered = json.dumps([made.schema for made in self.tools.values()])
        self._called = 0

    def _marked(self) -> list[Callable[..., Any]]:
        names = {
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if getattr(value, _MARK, False)
        }
        return [getattr(self, name) for name in sorted(names)]

    def opening(self, task: Task) -> Sequence[Message]:
        """Return the task's prompt, with the tools' schemas as JSON in its first message."""
        first, *rest = task.prompt
        return [{**first, "tools": self._offered}, *rest]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode; see `TextEnv.reset`."""
        self._called = 0
        return super().reset(seed=seed, options=options)

    def announce(self, reply: str) -> None:
        """Begin to judge an answer by components that are async or a judge model's."""
        if type(self).respond is ToolEnv.respond and not parsing.tool_calls(reply):
            self._judge_ahead(reply)

    def respond(self, task: Task, reply: str) -> str | StepResult:
        """Answer a reply without tool calls; by default judge it, which ends the episode."""
        return done(reward=self.score(task, reply))

    def _respond_to(self, task: Task, reply: str) -> str | StepResult:
        """Run the calls of a reply; one without goes to `respond`."""
        return self._run_calls(reply) or self.respond(task, reply)

    def _run_calls(self, reply: str) -> StepResult | None:
        """Run the calls of a reply and return their results; None where it has none."""
        calls = parsing.tool_calls(reply)
        if not calls:
            return None
        may = self.max_calls - self._called
        # calls have a limit of their own
        results = [call_within(None, self._run, call) for call in calls[:may]]
        self._called += len(results)
        if len(calls) > may:
            results.append(
                _result("", f"error: only {self.max_calls} calls are allowed; give your answer")
            )
        return turn("\n".join(str(r["content"]) for r in results), messages=results)

    def _run(self, call: parsing.ToolCall) -> Message:
        if not call.name:
            return _result("", f"error: this is no tool call: {', '.join(call.problems)}")
        if call.name not in self.tools:
            names = ", ".join(self.tools)
            return _result(call.name, f"error: there is no such tool; there is {names}")
        text = self.tools[call.name](call.arguments, self.call_seconds)
        if len(text) > self.result_chars:
            text = f"{text[: self.result_chars]} ... (cut, {len(text):,} characters in all)"
        return _result(call.name, text)


def _result(name: str, text: str) -> Message:
    return {"role": "tool", "name": name, "content": text}


def _within(seconds: float | None, work: Callable[[], Any]) -> Any:
    """Return what work returns, or raise what it raises, or `TimeoutError` after so long."""
    if seconds is None:
        return work()
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"it took longer than {seconds:g} s")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
