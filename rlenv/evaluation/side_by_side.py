"""What several checkpoints answer to the same prompts, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlenv.common.errors import UserError
from rlenv.core.task import Message
from rlenv.data.prompts import question_of
from rlenv.engines.base import Request, Sampling, mix


@dataclass
class SideBySide:
    """What several checkpoints say to the same prompts.

    Attributes:
        prompts: what each was asked; of a conversation the messages before its first reply.
        references: the replies that the file of prompts has; empty where it has none.
        answers: name of a checkpoint to its answers, one a prompt.
        cut: name of a checkpoint to whether each answer was cut off at the most tokens.
    """

    prompts: list[list[Message]]
    references: list[str]
    answers: dict[str, list[str]] = field(default_factory=dict)
    cut: dict[str, list[bool]] = field(default_factory=dict)

    def columns(self) -> list[str]:
        """Return the names of the columns of `rows`."""
        reference = ["reference"] if any(self.references) else []
        return ["prompt", *self.answers, *reference]

    def rows(self) -> list[list[str]]:
        """Return a row of texts for each prompt."""
        made = []
        for n, messages in enumerate(self.prompts):
            said = [
                answers[n] + (" […]" if self.cut[name][n] else "")
                for name, answers in self.answers.items()
            ]
            reference = [self.references[n]] if any(self.references) else []
            made.append([question_of(messages), *said, *reference])
        return made

    def plain(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "prompts": self.prompts,
            "references": self.references,
            "answers": self.answers,
            "cut": self.cut,
        }


def answer(
    source: str,
    prompts: Sequence[Sequence[Message]],
    sampling: Sampling,
    *,
    seed: int = 0,
    device: str = "auto",
) -> tuple[list[str], list[bool]]:
    """Let a checkpoint answer prompts.

    One without a chat template goes on with the text of the prompt.

    Args:
        source: a folder or a hub id.
        prompts: conversations up to where it answers.
        sampling: how to sample.
        seed: decides what is sampled.
        device: see `checkpoint.load`.

    Returns:
        The answers, and whether each was cut off.

    Raises:
        UserError: a prompt leaves no room for an answer.
    """
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    model, tokenizer = checkpoint.load(source, device=device)
    if tokenizer.chat_template:
        chat = ChatFormat(tokenizer, source)
        engine = checkpoint.engine_for(model, chat)
        read = [chat.prompt(messages) for messages in prompts]
    else:
        engine = checkpoint.engine_for(model, checkpoint.Continuing(tokenizer))
        read = [checkpoint.begin(tokenizer, question_of(messages)) for messages in prompts]
    room = checkpoint.context_length(model, tokenizer)
    requests = []
    for n, ids in enumerate(read):
        if len(ids) >= room:
            raise UserError(
                f"prompt {n + 1} has {len(ids)} tokens, which leaves {source} no room for an "
                f"answer: it reads {room}"
            )
        most = min(sampling.max_tokens, room - len(ids))
        requests.append(Request(ids, seed=mix(seed, n), max_tokens=most))
    completions = engine.generate(requests, sampling)
    texts = [tokenizer.decode(c.token_ids, skip_special_tokens=True) for c in completions]
    return texts, [not c.stopped for c in completions]
