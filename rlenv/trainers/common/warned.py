"""Warnings of our dependencies about each other, which no user can do anything about."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_renaming() -> Iterator[None]:
    """Hide that `is_gradient_checkpointing` was renamed in transformers.

    peft reads the old name when it wraps a model, and TRL at each step of DPO and KTO.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
        )
        yield
