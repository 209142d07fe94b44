"""Learning-rate schedules, as factors of the highest rate."""

from __future__ import annotations

import math


def warmup_stable_decay(step: int, total: int, warmup: float, decay: float) -> float:
    """Rise, stay, fall in a straight line (Hu et al. 2024, MiniCPM, section 4).

    Args:
        step: from 0 to total - 1.
        total: number of steps.
        warmup: share of the steps in which the rate rises to 1.
        decay: share of the steps at the end in which it falls towards 0.
    """
    rising = (step + 1) / max(1.0, warmup * total)
    falling = (total - step) / max(1.0, decay * total)
    return min(1.0, rising, falling)


def cosine(step: int, total: int, warmup: float, floor: float) -> float:
    """Rise, then fall along half a cosine (Loshchilov and Hutter 2017, eq. 5).

    Args:
        step: from 0 to total - 1.
        total: number of steps.
        warmup: share of the steps in which the rate rises to 1.
        floor: what it falls to.
    """
    first = warmup * total
    if step + 1 <= first:
        return (step + 1) / first
    along = (step - first) / max(1.0, total - first)
    return floor + (1 - floor) * (1 + math.cos(math.pi * max(0.0, along))) / 2
