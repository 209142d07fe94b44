"""Models that are talked to in plain text: a local checkpoint, or a server's chat endpoint.

Judges, critics and teachers are such. A policy is not: its tokens are trained on, see
`rlenv.engines`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from pydantic import Field

from rlenv.common.errors import RunFailed
from rlenv.common.settings import Settings
from rlenv.core.task import Message
from rlenv.engines import openai
from rlenv.engines.base import Sampling


class SpeakerSettings(Settings):
    """Which model to talk to.

    Attributes:
        model: a checkpoint folder or hub id; with `url`, the model's name on that server.
        url: of a server with an OpenAI-compatible chat endpoint, such as
            `http://localhost:8000/v1`.
        key_from: the environment variable that holds the server's key, where it asks for one.
        temperature: to sample with; 0 takes the most likely token.
        max_tokens: of a reply.
        timeout: seconds to wait for a reply of the server.
        tries: how often the server is asked when it fails.
        at_once: requests that the server gets at the same time.
        device: where a local model computes.
    """

    model: str
    url: str | None = None
    key_from: str = "OPENAI_API_KEY"
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    tries: int = Field(default=4, ge=1)
    at_once: int = Field(default=8, ge=1)
    device: str = "auto"


@dataclass(frozen=True)
class Said:
    """What a model said.

    Attributes:
        text: the reply; empty where there is none.
        problem: why there is none, or why it is not whole; empty if all is well.
    """

    text: str
    problem: str = ""


class Speaker(Protocol):
    """A model that is talked to."""

    def reply(self, conversations: Sequence[Sequence[Message]], seed: int) -> list[Said]:
        """Reply to every conversation.

        Args:
            conversations: chat messages, the last one of the user.
            seed: of what is sampled.

        Returns:
            One reply each, in order. A failure is said in it, and costs that reply alone.
        """
        ...


@lru_cache(maxsize=4)
def speaker(settings: SpeakerSettings) -> Speaker:
    """Return the model that the settings name; loaded once in a process.

    Raises:
        UserError: there is no such checkpoint.
    """
    return Endpoint(settings) if settings.url else Local.load(settings)


class Local:
    """A causal LM in this process.

    Args:
        model: the causal LM; it is read live, so this may be the policy that is being trained.
        tokenizer: its tokenizer.
        settings: how to sample.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: SpeakerSettings) -> None:
        from rlenv.engines.base import Sampling
        from rlenv.models import checkpoint
        from rlenv.models.chat_format import ChatFormat

        self.chat = ChatFormat(tokenizer, settings.model)
        self.engine = checkpoint.engine_for(model, self.chat)
        self.max_length = checkpoint.context_length(model, tokenizer)
        self.sampling = Sampling(settings.temperature, settings.max_tokens)

    @classmethod
    def load(cls, settings: SpeakerSettings) -> Local:
        """Load a checkpoint."""
        from rlenv.models import checkpoint

        return cls(*checkpoint.load(settings.model, device=settings.device), settings)

    def reply(self, conversations: Sequence[Sequence[Message]], seed: int) -> list[Said]:
        """See `Speaker.reply`."""
        from rlenv.engines.base import Request, mix

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
        found = [
            Said("", f"the prompt leaves no room in a context of {self.max_length}")
            for _ in prompts
        ]
        for n, one in zip(fits, self.engine.generate(requests, self.sampling), strict=True):
            found[n] = Said(self.chat.decode(one.token_ids), "" if one.stopped else "cut off")
        return found


class Endpoint:
    """A server's OpenAI-compatible chat endpoint.

    Args:
        settings: with `url`.
    """

    def __init__(self, settings: SpeakerSettings) -> None:
        self.sampling = Sampling(settings.temperature, settings.max_tokens)
        self.client = openai.ChatClient(
            openai.Endpoint(settings.model, str(settings.url).rstrip("/")),
            attempts=settings.tries,
            timeout=settings.timeout,
            connections=settings.at_once,
            key_variable=settings.key_from,
        )

    def reply(self, conversations: Sequence[Sequence[Message]], seed: int) -> list[Said]:
        """See `Speaker.reply`.

        Raises:
            UserError: the key, the model or the address is wrong.
        """
        numbered = list(enumerate(conversations))
        with ThreadPoolExecutor(self.client.connections) as pool:
            return list(pool.map(lambda one: self._ask(one[1], seed + one[0]), numbered))

    def _ask(self, messages: Sequence[Message], seed: int) -> Said:
        said = [{"role": m["role"], "content": m["content"]} for m in messages]
        try:
            answer = self.client.ask(said, self.sampling, seed)
        except (openai.RequestRefused, RunFailed) as error:
            return Said("", f"no reply: {error}")
        if not answer.text:
            return Said("", "the reply holds no text")
        return Said(answer.text, "" if answer.stopped else "cut off")
