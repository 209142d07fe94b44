"""How fast this machine trains: whole steps on random tokens, and matrix products alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import torch

from rlenv.models import presets
from rlenv.models.presets import Preset
from rlenv.trainers.common import optimizers
from rlenv.trainers.pretraining.rows import PackedRows
from rlenv.trainers.pretraining.training import accumulate

_SIDE = 1024  # of the matrices multiplied for the peak


@dataclass(frozen=True)
class Setting:
    """What a step looks like.

    Attributes:
        vocabulary: number of tokens.
        length: tokens a row.
        rows: in a forward pass.
        device: torch device.
        bf16: matrix products in bfloat16.
    """

    vocabulary: int
    length: int
    rows: int
    device: str
    bf16: bool


def tokens_per_second(shape: Preset, setting: Setting, seconds: float = 5.0) -> float:
    """Measure training steps of a model of this shape, on rows without borders.

    Args:
        shape: of the model.
        setting: of the steps.
        seconds: to measure for, after one step that warms up.
    """
    nothing = SimpleNamespace(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    model = presets.build(
        shape, vocabulary=setting.vocabulary, max_length=setting.length, tokenizer=nothing
    ).to(setting.device)
    optimizer = optimizers.make("adamw", model, 1e-3, 0.1)
    size = (setting.rows, setting.length)
    ids = torch.randint(0, setting.vocabulary, size)
    rows = PackedRows(
        ids, ids.roll(-1, 1), torch.arange(size[1]).expand(size), torch.zeros_like(ids)
    )
    rows = rows.to(setting.device)

    def step() -> None:
        accumulate(model, rows, setting.rows, bf16=setting.bf16)
        optimizer.step(1e-3, 1.0)

    return ids.numel() / _seconds_each(step, seconds)


def peak(
    device: str,
    *,
    bf16: bool,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measure products of large square matrices; return FLOP/s."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = torch.randn(2, _SIDE, _SIDE, device=device).to(dtype)
    return 2 * _SIDE**3 / _seconds_each(lambda: a @ b, seconds, clock)


def _seconds_each(
    call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the median time of a call that is repeated for so long, three times at least."""
    call()
    began = time.perf_counter()
    times: list[float] = []
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = clock()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(clock() - start)
    return statistics.median(times)
