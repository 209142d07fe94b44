"""Whether the numbers of a command line are in their range."""

from __future__ import annotations

from rlenv.common.errors import UserError


def at_least(least: float, **given: float | None) -> None:
    """Check options that have a least value.

    Args:
        least: the value.
        **given: the options by their names in Python; those that are None were not given.

    Raises:
        UserError: one is below it, or no number.
    """
    for name, value in given.items():
        if value is not None and not value >= least:
            raise UserError(f"--{name.replace('_', '-')} is at least {least:g}, not {value:g}")
