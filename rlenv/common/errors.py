"""Errors that users meet. Each ends in one sentence that says what to do, without a traceback."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable

from rlenv.common.terminal import complain, guard


class UserError(Exception):
    """A mistake the user can mend; the text says how.

    Attributes:
        exit_code: what the command exits with: 2 for bad input, 1 for a run that failed.
    """

    exit_code = 2


class RunFailed(UserError):
    """The input was fine but the run could not go on; what was done so far is kept."""

    exit_code = 1


class Interrupted(KeyboardInterrupt):
    """The run was stopped at a point from which it can go on."""


class HeldOutError(UserError):
    """Held-out tasks were about to reach a trainer."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean X?"` for the nearest of the known names, else an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def main_guard(command: Callable[[], int | None]) -> int:
    """Run a command and turn what users meet into a sentence on stderr and an exit code.

    Args:
        command: the body of the command; its return value is the exit code, None means 0.

    Returns:
        0 on success, 2 for bad input, 1 for a failed run, 130 after Ctrl-C.
    """
    from rlenv.common.extras import explained  # its error is a UserError, so it stands on this

    guard()
    try:
        with explained("this command"):
            return command() or 0
    except UserError as error:
        complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as stop:
        message = str(stop) or "stopped"
        complain(f"\n{message}")
        return 130
    except BrokenPipeError:
        # the reader of our output (head, less) went away: leave quietly, as other tools do
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # libraries wrap the system's error in types of their own
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        if not full:
            raise
        name = getattr(error, "filename", None)
        complain(
            f"error: the disk is full{f' ({name})' if name else ''}; free some space and run the "
            "command again, it goes on from its last checkpoint"
        )
        return 1
