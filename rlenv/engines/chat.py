"""Models that are talked to in plain text: which one, and what it replies.

Judges, critics, teachers and whatever a server runs are such models. A policy that is trained is
not: its tokens are learned from, see `rlenv.engines.base`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rlenv.common.settings import Settings
from rlenv.core.task import Message
from rlenv.engines.base import Sampling

KEY = "OPENAI_API_KEY"
# the special tokens and turn marks of well-known models; a server does not say which ones it has
_SPELLED = re.compile(
    r"<\|[^|<>\s]{1,64}\|>|<｜[^｜<>]{1,64}｜>|</?s>|\[/?INST\]|<</?SYS>>"
    r"|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
)


class ChatModelSettings(Settings):
    """Which model to talk to.

    Attributes:
        model: a checkpoint folder or hub id; with `url`, the model's name on that server.
        url: of a server with an OpenAI-compatible chat endpoint, such as
            `http://localhost:8000/v1`.
        key_from: the environment variable that holds the server's key, where it asks for one.
        temperature: to sample with; 0 takes the most likely token.
        max_tokens: the most tokens of a reply.
        timeout: seconds to wait for a reply of the server.
        tries: how often the server is asked when it fails.
        max_concurrency: requests that the server gets at the same time.
        per_minute: the most requests that the server gets in a minute; no limit if left out.
        device: where a local model computes.
    """

    renamed: ClassVar[Mapping[str, str]] = {"at_once": "max_concurrency"}

    model: str
    url: str | None = None
    key_from: str = KEY
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    tries: int = Field(default=4, ge=1)
    max_concurrency: int = Field(default=8, ge=1)
    per_minute: float | None = Field(default=None, gt=0)
    device: str = "auto"

    @field_validator("url")
    @classmethod
    def _base_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not is_http(url):
            raise PydanticCustomError("url", "an address begins with http:// or https://")
        return url.rstrip("/").removesuffix("/chat/completions")

    @property
    def sampling(self) -> Sampling:
        """How replies are sampled."""
        return Sampling(self.temperature, self.max_tokens)


@dataclass(frozen=True)
class ChatReply:
    """What a model replied.

    Attributes:
        text: the reply; empty where there is none.
        problem: why there is none, or why it is not whole; empty if all is well.
        stopped: it ended by itself, not by max_tokens.
        prompt_tokens: tokens that the model read; 0 where that is not known.
        tokens: tokens that it sampled; 0 where that is not known.
    """

    text: str
    problem: str = ""
    stopped: bool = True
    prompt_tokens: int = 0
    tokens: int = 0


class ChatModel(Protocol):
    """A model that is talked to.

    Attributes:
        max_concurrency: conversations that it is worth handing over at once.
    """

    max_concurrency: int

    def reply(self, conversations: Sequence[Sequence[Message]], seed: int) -> list[ChatReply]:
        """Reply to every conversation.

        Args:
            conversations: chat messages, the last one of the user.
            seed: decides what is sampled.

        Returns:
            One reply each, in order. A failure is said in it, and costs that reply alone.
        """
        ...


def is_http(url: str) -> bool:
    """Whether a text is the address of a server."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def unspelled(messages: Sequence[Message]) -> list[Message]:
    """Return messages for a server, in which a space takes apart what a special token looks like.

    Many servers render messages with the model's chat template and tokenize the whole, so that a
    tool's result which spells `<|im_end|>` would end its turn.
    """
    return [
        {**m, "content": _SPELLED.sub(lambda s: f"{s[0][0]} {s[0][1:]}", str(m["content"]))}
        for m in messages
    ]
