"""A short name for the contents of a checkpoint, so that results say which one they are of."""

from __future__ import annotations

import hashlib
from pathlib import Path

_WHOLE = 64 * 2**20  # bytes; of a larger file, pieces from all over it are read
_PIECES = 64
_PIECE = 64 * 2**10


def digest(path: Path) -> str:
    """Return a digest of a model file, or of all files of a checkpoint folder.

    Of files above 64 MB, 64 pieces spread over the file are read; training changes all of them.

    Args:
        path: the file or folder.
    """
    found = hashlib.sha256()
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.name.startswith("."):
            continue
        size = file.stat().st_size
        found.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as opened:
            if size <= _WHOLE:
                found.update(opened.read())
                continue
            for piece in range(_PIECES):
                opened.seek(piece * (size - _PIECE) // (_PIECES - 1))
                found.update(opened.read(_PIECE))
    return found.hexdigest()[:16]
