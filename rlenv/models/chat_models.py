"""The chat model that settings name: a checkpoint in this process, or one behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rlenv.core.task import Message
from rlenv.engines.base import Request, mix
from rlenv.engines.chat import ChatModel, ChatModelSettings, ChatReply
from rlenv.engines.openai import OpenAIChatModel
from rlenv.engines.settings import EngineSettings


@lru_cache(maxsize=4)
def load_chat_model(settings: ChatModelSettings) -> ChatModel:
    """Return the model that the settings name; loaded once in a process.

    Raises:
        UserError: there is no such checkpoint.
    """
    return OpenAIChatModel(settings) if settings.url else LocalChatModel.load(settings)


class LocalChatModel:
    """A causal LM in this process.

    Args:
        model: the causal LM; it is read live, so this may be the policy that is being trained.
        tokenizer: its tokenizer.
        settings: how to sample.
        engine: what generates; by default the fastest that runs the model here.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: ChatModelSettings,
        engine: EngineSettings | None = None,
    ) -> None:
        from rlenv.models import checkpoint
        from rlenv.models.chat_format import ChatFormat

        self.chat = ChatFormat(tokenizer, settings.model)
        self.engine = checkpoint.engine_for(model, self.chat, engine)
        self.max_length = checkpoint.context_length(model, tokenizer)
        self.max_concurrency = self.engine.max_rows
        self.sampling = settings.sampling

    @classmethod
    def load(
        cls, settings: ChatModelSettings, engine: EngineSettings | None = None
    ) -> LocalChatModel:
        """Load a checkpoint.

        Args:
            settings: with a checkpoint folder or a hub id as `model`.
            engine: what generates; by default the fastest that runs the model here.

        Raises:
            UserError: there is no such checkpoint.
        """
        from rlenv.models import checkpoint

        return cls(*checkpoint.load(settings.model, device=settings.device), settings, engine)

    def reply(self, conversations: Sequence[Sequence[Message]], seed: int) -> list[ChatReply]:
        """See `ChatModel.reply`."""
        prompts = [self.chat.prompt(messages) for messages in conversations]
        fits = [n for n, ids in enumerate(prompts) if len(ids) < self.max_length]
        requests = [
            Request(
                prompts[n],
                seed=mix(seed, n),
                max_tokens=min(self.sampling.max_tokens, self.max_length - len(prompts[n])),
            )
            for n in fits
        ]
        no_room = f"the prompt leaves no room in a context of {self.max_length}"
        found = [ChatReply("", no_room) for _ in prompts]
        for n, one in zip(fits, self.engine.generate(requests, self.sampling), strict=True):
            found[n] = ChatReply(
                text=self.chat.decode(one.token_ids),
                problem="" if one.stopped else "cut off",
                stopped=one.stopped,
                prompt_tokens=len(prompts[n]),
                tokens=len(one.token_ids),
            )
        return found
