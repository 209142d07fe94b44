"""A tokenizer's chat template, and what it can't do.

Templates differ in what they accept. Where one knows no system messages, no tool messages or no
tools, the conversation is put into words that it knows. Templates also differ in whether they
leave alone what was said: one that takes the thinking out of earlier replies, say, renders a
conversation that no longer begins with what the policy read and sampled. `ChatTemplate.rewrites`
finds that out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from rlenv.common.errors import UserError
from rlenv.common.time_limit import TimedOut, call_within
from rlenv.core.task import Message
from rlenv.models.plain_text import REPLY, SpecialTokens, each_text, take_apart, turn_marks

LONGEST = 5.0  # seconds that a template may take to render a conversation
_PROBE = "probe"
_TOOL = {
    "type": "function",
    "function": {
        "name": _PROBE,
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    },
}
_REPLIES = {
    "the thinking of earlier replies": f"<think>\n{_PROBE}\n</think>\n\nyes",
    "white space around a reply": " yes\n",
    "replies": "yes",
}
_HOW_TO_CALL = (
    "You may call these tools:\n{tools}\n"
    'To call one, reply with <tool_call>{{"name": NAME, "arguments": {{...}}}}</tool_call>. '
    "Its result comes in the next message."
)
# conversations whose rendering shows what stands between messages, as far as a template takes them
_TALKS = (
    ("user", "assistant", "user", "assistant"),
    ("system", "user", "assistant", "user"),
    ("user", "assistant", "tool", "tool", "assistant", "user"),
)
_RESULT_TAGS = re.compile(r"</?tool_response>")


class ChatTemplate:
    """A tokenizer's chat template.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        source: where it came from, for error messages.
    """

    def __init__(self, tokenizer: Any, source: str) -> None:
        self.tokenizer = tokenizer
        self.source = source
        self._special = SpecialTokens(tokenizer)
        self.special_ids = self._special.ids

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return a conversation's tokens, up to where the policy begins to reply.

        A message's text can't forge a turn: special tokens that it spells are read as the
        characters they are made of, and words that mark turns are taken apart.

        Args:
            messages: the conversation. The first may hold `tools`, their schemas as JSON.

        Raises:
            UserError: the template refuses the conversation.
        """
        held: list[str] = []
        return self._special.encode(self._render(messages, held), held)

    def after_reply(self, before: Sequence[Message], new: Sequence[Message]) -> list[int]:
        """Return the tokens between a reply's text and where the next reply begins.

        Args:
            before: the messages up to the reply.
            new: those after it.

        Raises:
            UserError: the template refuses the conversation.
        """
        held: list[str] = []
        text = self._render([*before, _assistant(""), *new], held, reply=len(before))
        return self._special.encode(text.rpartition(REPLY)[2], held)

    def text_ids(self, text: str) -> list[int]:
        """Return the tokens of what somebody says, as they stand within a conversation."""
        return self._special.encode_text(take_apart(self._marks, text))

    def _render(
        self,
        messages: Sequence[Message],
        held: list[str],
        *,
        ask: bool = True,
        reply: int | None = None,
    ) -> str:
        """Return a conversation as text, with marks for what is held back.

        Args:
            messages: the conversation.
            held: what the marks stand for is appended here.
            ask: end where the policy begins to reply.
            reply: the number of the message in whose place `REPLY` stands.
        """

        def plain(text: str) -> str:
            return self._special.hold(take_apart(self._marks, text), held)

        tools = each_text(json.loads(str(messages[0].get("tools", "[]"))), plain)
        said = [
            {n: v if n == "role" else each_text(v, plain) for n, v in m.items() if n != "tools"}
            for m in messages
        ]
        if reply is not None:
            said[reply]["content"] = REPLY
        if tools and not self.knows_tools:
            said, tools = _instructed(said, _offer(tools)), []
        if not self.knows_tool_messages:
            said = _results_of_user(said)
        if not self.knows_system:
            said = _without_system(said)
        try:
            return self._apply(said, ask=ask, tools=tools or None)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 a template is a program, and may raise anything
            roles = ", ".join(str(message["role"]) for message in messages)
            raise UserError(
                f"the chat template of {self.source} refuses a conversation of {roles}: {error}"
            ) from None

    def check(self) -> None:
        """Check that the template shows what the user and the policy say.

        Raises:
            UserError: it leaves something out, refuses, or does not come to an end.
        """
        text = self._render([_user(_PROBE), _assistant("")], [], ask=False, reply=1)
        for said, who in ((_PROBE, "the user says"), (REPLY, "the policy replies")):
            if said not in text:
                raise UserError(
                    f"the chat template of {self.source} leaves out what {who}; set another "
                    "tokenizer.chat_template and save it"
                )

    @cached_property
    def knows_system(self) -> bool:
        """Whether it renders system messages; else they go into the user's first message."""
        return self._shows([{"role": "system", "content": _PROBE}, _user("?")])

    @cached_property
    def knows_tool_messages(self) -> bool:
        """Whether it renders the results of tools; else the user reports them."""
        said = [_user("?"), _assistant("yes"), {"role": "tool", "content": _PROBE}]
        return self._shows(said)

    @cached_property
    def knows_tools(self) -> bool:
        """Whether it tells the policy which tools there are; else a system message does."""
        return self._shows([_user("?")], tools=[_TOOL])

    @cached_property
    def rewrites(self) -> tuple[str, ...]:
        """What it changes of an earlier reply when the conversation goes on; empty for nothing.

        Of such a template, the rendering of a longer conversation does not begin with that of a
        shorter one (it is not prefix-preserving).
        """
        opening = self._render([_user("?")], [])
        return tuple(
            what
            for what, reply in _REPLIES.items()
            if not all(
                self._render([_user("?"), _assistant(reply), then], []).startswith(opening + reply)
                for then in (_user("?"), {"role": "tool", "content": "?"})
            )
        )

    @cached_property
    def end_of_turn(self) -> int | None:
        """The token that it puts after a reply; None where that is no special token."""
        said = [_user("?"), _assistant("")]
        after = self._render(said, [], ask=False, reply=1).rpartition(REPLY)[2]
        ids = self.tokenizer(after, add_special_tokens=False)["input_ids"]
        return ids[0] if ids and ids[0] in self.special_ids else None

    def spells_special(self, text: str) -> bool:
        """Return whether a text spells a special token."""
        return self._special.pattern.search(text) is not None

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        """Finds the words by which it marks turns, see `turn_marks`."""
        between: list[str] = []
        for roles in _TALKS:
            said = [{"role": role, "content": f"{_PROBE}{n}."} for n, role in enumerate(roles)]
            try:
                text = self._apply(said, ask=False)
            except UserError:
                raise
            except Exception:  # noqa: BLE001 it refuses, in whatever way
                continue
            parts = re.split(f"{_PROBE}\\d+\\.", text)
            between += parts[1:] if len(parts) == len(roles) + 1 else []
        return turn_marks(between, self._special.pattern)

    def _apply(self, messages: Sequence[Message], *, ask: bool, tools: Any = None) -> str:
        def render() -> str:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=ask
            )
            return text

        try:
            return call_within(LONGEST, render)
        except TimedOut:
            raise UserError(
                f"the chat template of {self.source} was cut off after {LONGEST:g} seconds: it "
                "does not come to an end; set another tokenizer.chat_template and save it"
            ) from None

    def _shows(self, messages: Sequence[Message], tools: Any = None) -> bool:
        try:
            return _PROBE in self._apply(messages, ask=True, tools=tools)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 it refuses, in whatever way
            return False


def how_to_call(tools: str) -> str:
    """Return what a policy is told of its tools where the chat template knows none.

    Args:
        tools: their schemas as JSON.
    """
    return _offer(json.loads(tools))


def _offer(tools: Sequence[Any]) -> str:
    schemas = [json.dumps(tool, ensure_ascii=False) for tool in tools]
    return _HOW_TO_CALL.format(tools="\n".join(schemas))


def plain_roles(messages: Sequence[Message]) -> list[Message]:
    """Return a conversation in messages of the system, the user and the assistant alone.

    For a model that is spoken to in text: it is told of its tools in words, and the user reports
    their results.

    Args:
        messages: the conversation. The first may hold `tools`, their schemas as JSON.
    """
    offered = str(messages[0].get("tools", "[]"))
    said = [{"role": m["role"], "content": m["content"]} for m in messages]
    if json.loads(offered):
        said = _instructed(said, how_to_call(offered))
    return _results_of_user(said)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _instructed(messages: list[Message], text: str) -> list[Message]:
    """Add instructions to the system message, or put one first."""
    if messages[0]["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]


def _without_system(messages: list[Message]) -> list[Message]:
    """Put a system message into what the user says next."""
    if messages[0]["role"] != "system":
        return messages
    system, user, *rest = messages
    return [{**user, "content": f"{system['content']}\n\n{user['content']}"}, *rest]


def _results_of_user(messages: list[Message]) -> list[Message]:
    """Let the user report what tools returned, several of them in one message."""
    told: list[Message] = []
    reporting = False
    for message in messages:
        if message["role"] != "tool":
            told.append(message)
        else:
            content = take_apart(_RESULT_TAGS, str(message["content"]))
            result = f"<tool_response>\n{content}\n</tool_response>"
            if reporting:
                result = f"{told.pop()['content']}\n{result}"
            told.append(_user(result))
        reporting = message["role"] == "tool"
    return told
