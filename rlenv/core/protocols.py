"""What the core needs to know of parts that stand above it."""

from __future__ import annotations

from typing import Any, Protocol


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
