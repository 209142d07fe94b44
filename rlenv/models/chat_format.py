"""From messages to tokens, and on to the next turn, without ever re-tokenizing a reply."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from rlenv.common.errors import UserError
from rlenv.core.task import Message
from rlenv.models.chat_template import ChatTemplate

log = logging.getLogger(__name__)


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """Return a conversation that opens with a system message, before its own one's text."""
    if system is None:
        return list(messages)
    first, *rest = messages
    if first["role"] == "system":
        return [{**first, "content": f"{system}\n\n{first['content']}"}, *rest]
    opening = {"role": "system", "content": system}
    if "tools" in first:  # the first message of a conversation carries them
        opening["tools"] = first["tools"]
        first = {key: value for key, value in first.items() if key != "tools"}
    return [opening, first, *rest]


class ChatFormat:
    """A tokenizer's chat template, as the pieces that a rollout needs.

    Text stays text: no message, reply or tool can spell a special token or open a turn, see
    `rlenv.models.plain_text`.

    A conversation's tokens only ever grow. Where the template would change what was said before,
    such as take the thinking out of earlier replies, the conversation goes on from the tokens as
    they were sampled, and a warning says so once.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        source: where it came from, for the error message.
        system: a system message to open every conversation with, before what an environment's own
            says.

    Attributes:
        template: the chat template.
        stop_ids: the tokens that end a reply; the first is the one that the template puts there.

    Raises:
        UserError: the tokenizer has no chat template or no end-of-sequence token.
    """

    def __init__(
        self, tokenizer: Any, source: str = "the tokenizer", system: str | None = None
    ) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(
                f"{source} has no chat template, which an environment needs to talk to it; "
                "fine-tune it with an sft stage, or set tokenizer.chat_template and save it"
            )
        if tokenizer.eos_token_id is None:
            raise UserError(f"{source} has no end-of-sequence token, so replies would never end")
        self.tokenizer = tokenizer
        self.source = source
        self.system = system
        self.template = ChatTemplate(tokenizer, source)
        self._warned = False
        ends = (self.template.end_of_turn, int(tokenizer.eos_token_id))
        self.stop_ids = list(dict.fromkeys(end for end in ends if end is not None))

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids up to where the policy begins to reply."""
        return self.template.prompt(with_system(messages, self.system))

    def after_reply(
        self, before: Sequence[Message], new: Sequence[Message], *, ended: bool = True
    ) -> list[int]:
        """Return the token ids between a reply's last token and where the next reply begins.

        Args:
            before: the messages up to the reply.
            new: what the environment said since.
            ended: the reply's last token is the one that ends a turn; otherwise one is put here.
        """
        self._warn()
        ids = self.template.after_reply(before, new)
        return ids[1:] if ended and ids and ids[0] in self.stop_ids else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return a reply's text, without special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def solved(self, messages: Sequence[Message], reply: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a conversation that ends in a given reply, and its loss mask.

        The mask is 1 on the reply and its stop token, 0 elsewhere.
        """
        said = [*messages, {"role": "assistant", "content": reply}]
        return self.conversation(said, len(messages))

    def conversation(
        self, messages: Sequence[Message], opening: int
    ) -> tuple[list[int], list[int]]:
        """Return the tokens of a conversation of given replies, and its loss mask.

        They are those of a rollout in which the policy says these replies. The mask is 1 on each
        reply and its stop token, 0 elsewhere. What follows the last reply is left out, as no
        policy reads it.

        Args:
            messages: from the opening on.
            opening: how many messages come before the first reply.
        """
        replies = [n for n, m in enumerate(messages) if n >= opening and m["role"] == "assistant"]
        ids = self.prompt(messages[:opening])
        mask = [0] * len(ids)
        for n, following in zip(replies, [*replies[1:], None], strict=True):
            said = self.reply(str(messages[n]["content"]))
            read = []
            if following is not None:
                read = self.after_reply(messages[:n], messages[n + 1 : following])
            ids += said + read
            mask += [1] * len(said) + [0] * len(read)
        return ids, mask

    def reply(self, text: str) -> list[int]:
        """Return the tokens of a reply, its stop token included."""
        return [*self._encode(text), self.stop_ids[0]]

    def check_covers(self, text: str) -> None:
        """Raise a `UserError` if the tokenizer can't represent a text it will have to read."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None:
            return
        for character in dict.fromkeys(text):
            if unknown in self._encode(character):
                raise UserError(
                    f"{self.source} has no token for {character!r}, which the environment uses; "
                    "train the tokenizer on text that holds it"
                )

    def _warn(self) -> None:
        if self._warned:
            return
        self._warned = True
        if self.template.rewrites:
            log.warning(
                "the chat template of %s changes %s once a conversation goes on; episodes of "
                "several turns keep the tokens as they were sampled instead",
                self.source,
                " and ".join(self.template.rewrites),
            )

    def _encode(self, text: str) -> list[int]:
        return self.template.text_ids(text)
