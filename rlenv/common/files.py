"""Files and folders that are whole or not there, locks, and logs of JSON lines."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rlenv.common.errors import UserError


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
    except FileExistsError:
        raise UserError(f"{path} is a file; give another {setting}") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        why = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"{path} can't be made or written to ({why.lower()}); give another {setting}"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError(
            f"{path} is in use by another run; wait for it or give another {setting}"
        ) from None
    return file


def check_writable(path: Path, setting: str) -> None:
    """Check that a file can be written; folders that it lies in may have to be made first.

    Args:
        path: the file.
        setting: what names it, for messages.

    Raises:
        UserError: its folder can't be made or written to, or the path is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file as {setting}")
    _check_room(path.absolute().parent, setting)


def check_folder(path: Path, setting: str) -> None:
    """Check that a folder can be written to, or made; see `check_writable`."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give another {setting}")
    _check_room(path.absolute(), setting)


def _check_room(folder: Path, setting: str) -> None:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{folder} can't be made, as {there} is a file; give another {setting}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} can't be written to; give another {setting}")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what the lines of a log hold; a line cut short by a crash is passed over.

    Args:
        path: a `.jsonl` file; one that is not there has no lines.
    """
    if path.exists():
        # only a line feed ends a line: JSON may hold other characters that break lines
        for line in path.read_text(encoding="utf-8").split("\n"):
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a crash leaves either the old or the new content."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.parent.mkdir(parents=True, exist_ok=True)
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
