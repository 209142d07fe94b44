"""What is written to a terminal: nothing that others wrote can drive it.

Replies, tools' output, rows of data and servers' messages may hold escape sequences, which move the
cursor, rename the window or fill the clipboard, and marks that turn the reading direction round.
All that rlenv prints goes through `visible`: lines of text by `say` and `complain`, JSON by
`say_json`, tables and colours by `rlenv.common.console`, logs and tracebacks by `guard`.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
import threading
import traceback
import warnings
from typing import Any

# control characters but tab and line feed, the overrides and isolates of reading direction, and
# halves of surrogate pairs, which no terminal can encode
FORBIDDEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


def visible(text: str) -> str:
    """Spell out each character that a terminal would obey, such as `\\x1b`."""
    return FORBIDDEN.sub(_spelled, text.replace("\r\n", "\n"))


def say(text: str = "") -> None:
    """Print a line on standard output."""
    print(visible(text))  # noqa: T201


def complain(text: str) -> None:
    """Print a line on standard error."""
    print(visible(text), file=sys.stderr)  # noqa: T201


def say_json(value: Any, **how: Any) -> None:
    """Print a value as JSON on standard output.

    Args:
        value: it comes back from the line as it is.
        how: see `json.dumps`.
    """
    text = json.dumps(value, **{"ensure_ascii": False, **how})
    print(FORBIDDEN.sub(lambda c: f"\\u{ord(c[0]):04x}", text))  # noqa: T201


@functools.cache
def guard() -> None:
    """Let all that Python itself writes of this process go through `visible`, from now on.

    That is messages of loggers, warnings, and the traceback of an error that nobody handles.
    """
    logging.setLogRecordFactory(_Record)
    if logging.lastResort is not None:  # writes what no handler of the user's takes
        logging.lastResort.setFormatter(_Formatter())
    format_warning = warnings.formatwarning
    warnings.formatwarning = lambda *about, **more: visible(format_warning(*about, **more))
    sys.excepthook = lambda *error: complain("".join(traceback.format_exception(*error)).rstrip())
    threading.excepthook = _of_thread


class _Record(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802 the name is logging's
        return visible(super().getMessage())


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _of_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        told = "".join(traceback.format_exception(failed.exc_value)).rstrip()
        complain(f"Exception in thread {failed.thread.name if failed.thread else '?'}:\n{told}")


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
