"""What a backend needs to know to start a worker."""

from __future__ import annotations

from dataclasses import dataclass

from rlenv.sandbox.jobs import FunctionJob, call_order
from rlenv.sandbox.limits import Limits


@dataclass(frozen=True)
class BackendSettings:
    """What a backend needs to know.

    Args:
        limits: What a program may use.
        preload: Modules to import ahead.
        rehearsal: Jobs to run ahead.
        image: Image for containers, or None.
        runtime: Runtime for containers, or None.
        patience: Seconds of silence after which a worker counts as lost.
    """

    limits: Limits
    preload: tuple[str, ...] = ()
    rehearsal: tuple[FunctionJob, ...] = ()
    image: str | None = None
    runtime: str | None = None
    patience: float = 10.0

    @property
    def rehearsal_orders(self) -> list[bytes]:
        """The rehearsal's jobs as a guest gets them."""
        return [call_order(job, self.limits)["job"] for job in self.rehearsal]

    @property
    def report_cap(self) -> int:
        """The largest report that a guest can have reason to send, in bytes."""
        return self.limits.result_bytes + 2 * self.limits.output_bytes + (1 << 20)
