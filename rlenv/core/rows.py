"""Rows of data from a file or a `datasets` id."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError
from rlenv.common.extras import require

Rows = Sequence[Mapping[str, Any]]

DATA_ROOT = "RLENV_DATA_ROOT"  # the variable that names the folder with local copies of data sets
_makers: dict[str, Callable[[str], Rows]] = {}  # of rows that need no file, by name or prefix

_ID = re.compile(r"(?:[\w-]+|[\w-]+/[\w.-]+)(?::[\w.-]+)?\Z")


def load_rows(source: str | Path | Rows, *, part: str | None = None) -> Rows:
    """Load rows. Whoever loads the same file again gets the same rows, so leave them as they are.

    Args:
        source: `generated:NAME`, text that rlenv writes itself; the path of a `.jsonl`, `.json` (a
            list of objects), `.csv` or `.parquet` file; the id of a data set that `datasets` loads,
            with `:name` after it where it has several configurations (`openai/gsm8k:main`); or
            rows, which are returned as they are. A local copy of a data set is taken where
            `local_copies` finds one.
        part: of a `datasets` id, the part to take, such as `train`; all parts if left out.

    Raises:
        UserError: the file is missing, of another kind, or damaged.
    """
    if not isinstance(source, (str, Path)):
        return source
    made = made_rows(str(source))
    if made is not None:
        return made
    path = Path(source).expanduser()
    if path.suffix not in _READERS and is_dataset_id(str(source)) and not path.exists():
        copies = local_copies(str(source), part)
        if copies is None:
            return _from_datasets(str(source), part)
        return [row for copy in copies for row in load_rows(copy)]
    if not path.is_file():
        raise UserError(f"{path} does not exist; give a file of rows or the id of a data set")
    if path.suffix not in _READERS:
        raise UserError(f"{path} is none of {', '.join(_READERS)}")
    stat = path.stat()
    return _from_file(path.resolve(), stat.st_mtime_ns, stat.st_size)


def register_rows(name: str, make: Callable[[str], Rows]) -> None:
    """Make rows that need no file known to `load_rows` and to the text pipeline.

    Args:
        name: of the source, or a prefix that ends in a colon.
        make: returns the rows for the name as it was given.
    """
    _makers[name] = make


def made_rows(source: str) -> Rows | None:
    """Return the rows of a registered source, or None where the name is not one."""
    prefix, colon, _ = source.partition(":")
    make = _makers.get(prefix + colon)
    return None if make is None else make(source)


def is_made(source: str) -> bool:
    """Return whether a name is a registered source, which needs no file."""
    prefix, colon, _ = source.partition(":")
    return prefix + colon in _makers


def made_names() -> list[str]:
    """Return the names and prefixes of the registered sources."""
    return sorted(_makers)


def local_copies(name: str, part: str | None) -> list[Path] | None:
    """Return the files that hold a data set's local copy, or None if there is no copy.

    The folder that the variable `RLENV_DATA_ROOT` names, which a run sets by `data_root`, is
    searched for `owner/name` and then for `name`: a folder of files, or one file with an ending
    such as `.jsonl`. A part such as `train` is the file of that name in the folder; a folder with a
    single file holds all parts in it.

    Args:
        name: the id of a data set, such as `openai/gsm8k:main`.
        part: the part to take; all parts if None.

    Raises:
        UserError: the folder has no such part.
    """
    root = os.environ.get(DATA_ROOT)
    if not root:
        return None
    bare = name.partition(":")[0]
    folder = Path(root).expanduser()
    for place in (folder / bare, folder / bare.rpartition("/")[2]):
        for file in (place.with_name(place.name + ending) for ending in _READERS):
            if file.is_file():
                return [file]
        if place.is_dir():
            files = sorted(p for p in place.iterdir() if p.suffix in _READERS)
            if part is None or len(files) == 1:
                return files or None
            named = [p for p in files if p.stem == part]
            if not named:
                have = ", ".join(p.stem for p in files)
                raise UserError(f"{place} has no part {part!r} of {name}; it has {have}")
            return named
    return None


@lru_cache(maxsize=8)
def _from_file(path: Path, changed: int, size: int) -> Rows:
    return _READERS[path.suffix](path)


def strings(value: Any) -> Iterator[str]:
    """Yield every text in a row, however deep in lists and mappings it lies."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)


def column(row: Mapping[str, Any], name: str) -> Any:
    """Return a row's column, or raise a `UserError` that names those it has."""
    if name not in row:
        raise UserError(f"the rows have no column {name!r}; they have {', '.join(row)}")
    return row[name]


def _jsonl(path: Path) -> Rows:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line.decode("utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise UserError(f"{path}, line {number} is no JSON: {error}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is no JSON object")
            rows.append(row)
    return rows


def _json(path: Path) -> Rows:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} must hold a list of objects")
    return rows


def _csv(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _parquet(path: Path) -> Rows:
    require("pyarrow", f"reading {path}")
    from pyarrow import parquet

    rows: Rows = parquet.read_table(path).to_pylist()
    return rows


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}


def is_dataset_id(name: str) -> bool:
    """Return whether a name has the form of the id of a data set; a path may have it too."""
    return _ID.match(name) is not None


@lru_cache(maxsize=8)
def _from_datasets(name: str, part: str | None) -> Rows:
    loaded = load_dataset(name, part)
    if isinstance(loaded, Mapping):
        return [row for one in loaded.values() for row in one]
    return list(loaded)


@lru_cache(maxsize=8)
def load_dataset(name: str, part: str | None) -> Any:
    """Load a data set with `datasets`.

    Args:
        name: its id, with `:name` after it where it has several configurations.
        part: such as `train`; all parts, in a mapping, if None.

    Raises:
        UserError: it could not be loaded.
    """
    require("datasets", f"loading the data set {name!r}", otherwise="give a file of rows")
    import datasets

    name, _, configuration = name.partition(":")
    try:
        return datasets.load_dataset(name, configuration or None, split=part)
    except Exception as error:  # noqa: BLE001 whatever a hub or a loader may raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the data set {name!r} could not be loaded: {reason}. Without a network, put a copy "
            "into a folder of your own and name that folder with data_root"
        ) from None
