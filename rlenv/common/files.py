"""Files and folders that are whole or not there, locks, and logs of JSON lines."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from rlenv.common.errors import UserError

log = logging.getLogger(__name__)

_BLOCK = 1 << 16


def lock(path: Path, setting: str) -> IO[str]:
    """Make a folder if need be, and lock it for as long as the file that is returned stays open.

    Args:
        path: the folder.
        setting: what names it in a configuration, for messages.

    Raises:
        UserError: it can't be written to, or another process holds the lock.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / ".lock").open("a+")
    except PermissionError:
        raise UserError(f"{path} can't be written to; give another {setting}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError(
            f"{path} is in use by another run; wait for it or give another {setting}"
        ) from None
    return file


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what the lines of a log hold.

    A line that a crash or a full disk cut short, be it within a character, does not keep the rest
    from being read: it is left out, and a warning says which one it was.

    Args:
        path: a `.jsonl` file; one that is not there has no lines.
    """
    if not path.exists():
        return
    with path.open("rb") as file:  # a file of bytes ends its lines at line feeds alone
        for number, line in enumerate(file, 1):
            record = _record(line)
            if record is not None:
                yield record
            elif not line.endswith(b"\n"):
                log.warning("the last line of %s was cut short and is left out", path)
            elif line.strip():
                log.warning("line %d of %s is no JSON object and is left out", number, path)


def open_log(path: Path) -> IO[str]:
    """Open a log to append lines to, see `json_line`.

    What a line that was cut short has left at its end is taken away, or the next line would be
    lost, too.
    """
    if path.exists():
        with path.open("r+b") as file:
            end = _last_line(file)
            file.seek(end)
            rest = file.read()
            if rest and _record(rest) is None:
                log.warning("the last line of %s was cut short and is taken away", path)
                file.truncate(end)
            elif rest:
                file.write(b"\n")
    return path.open("a", encoding="utf-8")


def json_line(record: Mapping[str, Any]) -> str:
    """Return a line of a log; half of a surrogate pair, which UTF-8 lacks, stands as its escape."""
    text = json.dumps(record, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the object that a line holds; None where it holds none."""
    try:
        found = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return found if isinstance(found, dict) else None


def _last_line(file: IO[bytes]) -> int:
    """Return where the part of a file after its last line feed begins."""
    place = file.seek(0, os.SEEK_END)
    while place:
        first = max(0, place - _BLOCK)
        file.seek(first)
        found = file.read(place - first).rfind(b"\n")
        if found >= 0:
            return first + found + 1
        place = first
    return 0


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a crash leaves either the old or the new content."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def temporary_of(path: Path) -> Path:
    """Where `folder_atomically` keeps a folder until it is whole."""
    return path.with_name(f".{path.name}.new")


@contextlib.contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `path` once the block has ended well."""
    temporary = temporary_of(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    for file in temporary.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    if path.exists():
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old)
    else:
        temporary.rename(path)


def clear(path: Path) -> None:
    """Remove a folder if it is there."""
    shutil.rmtree(path, ignore_errors=True)
