"""The processes that carry out a run together, started by `accelerate launch` or `torchrun`."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from typing import Any, TypeVar

from rlenv.common.errors import UserError

Value = TypeVar("Value")

_PATIENCE = timedelta(days=1)  # the others wait while one of them makes a long stage


class Processes:
    """One process alone, which is what `python -m rlenv.train` starts.

    Attributes:
        rank: the number of this one, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and speaks to the user."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all of them have come here."""

    def any(self, flag: bool) -> bool:
        """Whether any of them says so; all get the same answer."""
        return flag

    def gather(self, items: list[Value]) -> list[Value]:
        """Return the items of all of them, in the order of their numbers."""
        return items

    def from_main(self, value: Value) -> Value:
        """Return the main one's value."""
        return value

    def shutdown(self) -> None:
        """Leave the group of processes; nothing can be exchanged after it."""


class LaunchedProcesses(Processes):
    """Several processes, through accelerate.

    Args:
        cpu: compute on processors even where there are GPUs.

    Raises:
        UserError: accelerate does not find the others.
    """

    def __init__(self, *, cpu: bool) -> None:
        from accelerate import PartialState

        with warnings.catch_warnings():
            # that it shares the cores out among the processes, said by each of them
            warnings.filterwarnings("ignore", message="OMP_NUM_THREADS")
            self._state: Any = PartialState(cpu=cpu, timeout=_PATIENCE)
        self.rank, self.count = self._state.process_index, self._state.num_processes
        if self.count != launched_count():  # else each would take itself for the only one
            raise UserError(
                f"the launcher started {launched_count()} processes and accelerate found "
                f"{self.count}; start the run with: accelerate launch -m rlenv.train CONFIG"
            )

    def wait(self) -> None:
        """See `Processes.wait`."""
        self._state.wait_for_everyone()

    def any(self, flag: bool) -> bool:
        """See `Processes.any`."""
        return any(self.gather([flag]))

    def gather(self, items: list[Value]) -> list[Value]:
        """See `Processes.gather`."""
        from accelerate.utils import gather_object

        everyone: list[Value] = gather_object(items)
        return everyone

    def from_main(self, value: Value) -> Value:
        """See `Processes.from_main`."""
        from accelerate.utils import broadcast_object_list

        holder = [value]
        broadcast_object_list(holder)
        return holder[0]

    def shutdown(self) -> None:
        """See `Processes.shutdown`."""
        self._state.destroy_process_group()


def launched(device: str) -> Processes:
    """Return the processes that a launcher started, or this one alone.

    Args:
        device: `auto`, `cpu`, `cuda`, ...
    """
    if launched_count() < 2:
        return Processes()
    from rlenv.models.checkpoint import pick_device

    return LaunchedProcesses(cpu=pick_device(device) == "cpu")


def launched_count() -> int:
    """Return how many processes a launcher has started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that speaks to the user, as the launcher says."""
    return int(os.environ.get("RANK", "0")) == 0


def local_count() -> int:
    """Return how many processes of the run share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
