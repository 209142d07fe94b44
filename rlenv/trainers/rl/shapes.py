"""The shapes of tensors, by name: tests check them while real steps run, else they cost nothing.

B rows of T tokens are a batch; P tasks with G samples each are its groups.
"""

from __future__ import annotations

from jaxtyping import Float, Int, Num
from torch import Tensor

PerToken = Float[Tensor, "B T"]
"""A number for each token of each row, such as its logprob."""

TokenIds = Int[Tensor, "B T"]
"""A whole number for each token of each row."""

PerRow = Float[Tensor, "B"]
"""A number for each row."""

Prompts = Int[Tensor, "B 2"]
"""For each row the number of its prompt and the prompt's length."""

PerSample = Num[Tensor, "P G"]
"""A number for each sample of each task, such as its reward."""

PerTask = Num[Tensor, "P 1"]
"""A number for each task, which broadcasts over its samples."""
