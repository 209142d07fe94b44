"""What engines that run the model in this process have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rlenv.engines.base import Engine

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode, and back as it was."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


class InProcess(Engine):
    """An engine that reads the weights of a model in this process whenever it generates.

    So a policy that was just trained samples its next batch, and nothing need be sent.

    Attributes:
        model: whose weights it reads.
    """

    model: Any

    def update_weights(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into the model, where they are not those it has; see `Engine`.

        Raises:
            RuntimeError: the names or the shapes are not the model's.
        """
        self.model.load_state_dict(state)
