"""From messages to tokens, and on to the next turn, without ever re-tokenizing a reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlenv.errors import UserError
from rlenv.task import Message

_MARK = "\u2063reply\u2063"  # stands for a reply while the text around it is rendered


_REMEMBERED = 50_000


class ChatFormat:
    """A tokenizer's chat template, as the pieces that a rollout needs.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        source: where it came from, for the error message.

    Attributes:
        stop_ids: the tokens that end a reply.

    Raises:
        UserError: the tokenizer has no chat template or no end-of-sequence token.
    """

    def __init__(self, tokenizer: Any, source: str = "the tokenizer") -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(
                f"{source} has no chat template, which an environment needs to talk to it; "
                "fine-tune it with an sft stage, or set tokenizer.chat_template and save it"
            )
        if tokenizer.eos_token_id is None:
            raise UserError(f"{source} has no end-of-sequence token, so replies would never end")
        self.tokenizer = tokenizer
        self.source = source
        self._encoded: dict[str, list[int]] = {}  # prompts come again and again
        self.stop_ids = [int(tokenizer.eos_token_id)]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids up to where the policy begins to reply."""
        return self._encode(self._render(messages))

    def after_reply(
        self, before: Sequence[Message], new: Sequence[Message], *, ended: bool = True
    ) -> list[int]:
        """Return the token ids between a reply's last token and where the next reply begins.

        Args:
            before: the messages up to the reply.
            new: what the environment said since.
            ended: the reply's last token is its stop token; otherwise one is put here.
        """
        text = self._render([*before, {"role": "assistant", "content": _MARK}, *new])
        ids = self._encode(text.rpartition(_MARK)[2])
        return ids[1:] if ended and ids and ids[0] in self.stop_ids else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return a reply's text, without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def solved(self, messages: Sequence[Message], reply: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a conversation that ends in a given reply, and its loss mask.

        The mask is 1 on the reply and its stop token, 0 elsewhere.
        """
        prompt = self.prompt(messages)
        said = [*self._encode(reply), self.stop_ids[0]]
        return prompt + said, [0] * len(prompt) + [1] * len(said)

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

    def _render(self, messages: Sequence[Message]) -> str:
        return self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True
        )

    def _encode(self, text: str) -> list[int]:
        ids = self._encoded.get(text)
        if ids is None:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(self._encoded) < _REMEMBERED:
                self._encoded[text] = ids
        return list(ids)
