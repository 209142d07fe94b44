"""Where documents come from: JSONL, Parquet and text files, folders of them, `datasets` ids.

A source is cut into chunks that can be read on their own, so that several processes share the work
and a restart repeats no finished one.
"""

from __future__ import annotations

import glob
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.common.settings import Settings
from rlenv.core.rows import is_dataset_id, is_made, load_dataset, local_copies, made_rows
from rlenv.data.pipeline.document import Document, Splitter

_ROWS = (".jsonl", ".jsonl.gz", ".json.gz", ".parquet")
_TEXT = (".txt", ".md", ".rst", ".text")
# what a run leaves beside its documents
_BESIDE = ("dropped-",)


class InputSettings(Settings):
    """One source of documents.

    Attributes:
        path: `generated:documents`, `python_topics` or `python_docs`; a JSONL (`.jsonl`,
            `.jsonl.gz`, `.json.gz`), Parquet or text file, a pattern such as `data/*.jsonl`, a
            folder, or the id of a data set that `datasets` loads, with `:name` after it where it
            has several configurations.
        text: the column that holds the text.
        part: of a data set, such as `train`.
        cut: cut texts into pieces of at most so many characters, at blank lines where possible.
    """

    path: str
    text: str = "text"
    part: str = "train"
    cut: int | None = Field(None, ge=100)


@dataclass(frozen=True)
class Chunk:
    """A part of a source.

    Attributes:
        source: settings of the source it is part of.
        path: the file, or the id of a data set.
        start: first byte of a JSONL file, first row group of a Parquet file, first row of a data
            set; a text or compressed file is one chunk.
        stop: first one that is not part of it.
        size: bytes, near enough to judge progress by.
        stamp: changes when the file does.
    """

    source: InputSettings
    path: str
    start: int
    stop: int
    size: int
    stamp: str


def expand(name: str) -> list[str]:
    """Return the files that a path, pattern or folder names, in order; or the id of a data set.

    Raises:
        UserError: there is none.
    """
    if is_made(name):
        return [name]
    path = Path(name).expanduser()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and _is_source(p, path))
        if not found:
            raise UserError(f"{path} holds no file that ends in {', '.join((*_ROWS, *_TEXT))}")
        return [str(p) for p in found]
    if glob.has_magic(name):
        found = [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 may be absolute
        if not any(p.is_file() for p in found):
            raise UserError(f"no file is named like {name}")
        return [str(p) for p in found if p.is_file()]
    if is_dataset_id(name) and not name.endswith((*_ROWS, *_TEXT)):
        copies = local_copies(name, None)
        return [name] if copies is None else [str(copy) for copy in copies]
    raise UserError(f"{name} does not exist; give a file, a folder, or the id of a data set")


def _is_source(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    hidden = any(part.startswith((".", *_BESIDE)) for part in parts)
    return not hidden and path.name.endswith((*_ROWS, *_TEXT))


def chunks(source: InputSettings, size: int) -> Iterator[Chunk]:
    """Cut a source into chunks of about `size` bytes.

    Raises:
        UserError: there is no such source.
    """
    for name in expand(source.path):
        path = Path(name)
        if is_made(name):
            yield from _made_chunks(source, name, size)
            continue
        if not path.is_file():
            yield from _dataset_chunks(source, name, size)
            continue
        stat = path.stat()
        stamp = f"{stat.st_size}/{stat.st_mtime_ns}"
        if name.endswith(".jsonl"):
            for start in range(0, max(1, stat.st_size), size):
                stop = min(start + size, stat.st_size)
                yield Chunk(source, name, start, stop, stop - start, stamp)
        elif name.endswith(".parquet"):
            yield from _parquet_chunks(source, name, size, stamp)
        else:
            yield Chunk(source, name, 0, stat.st_size, stat.st_size, stamp)


def _parquet_chunks(source: InputSettings, name: str, size: int, stamp: str) -> Iterator[Chunk]:
    meta = _parquet(name).metadata
    start = held = 0
    for group in range(meta.num_row_groups):
        held += meta.row_group(group).total_byte_size
        if held >= size or group == meta.num_row_groups - 1:
            yield Chunk(source, name, start, group + 1, held, stamp)
            start, held = group + 1, 0


def _made_chunks(source: InputSettings, name: str, size: int) -> Iterator[Chunk]:
    rows = made_rows(name)
    assert rows is not None
    lengths = [len(str(row.get(source.text) or "").encode()) for row in rows]
    start = held = 0
    for place, length in enumerate(lengths):
        held += length
        if held >= size or place == len(lengths) - 1:
            yield Chunk(source, name, start, place + 1, held, str(sum(lengths)))
            start, held = place + 1, 0


def _dataset_chunks(source: InputSettings, name: str, size: int) -> Iterator[Chunk]:
    loaded = load_dataset(name, source.part)
    rows = len(loaded)
    whole = int(loaded.dataset_size or loaded.data.nbytes)
    step = max(1, rows * size // max(1, whole))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        yield Chunk(
            source, name, start, stop, whole * (stop - start) // rows, str(loaded._fingerprint)
        )


def read(chunk: Chunk, splitter: Splitter = "spaces") -> Iterator[Document]:
    """Yield the documents of a chunk.

    A row whose text is missing or null becomes an empty document, so that it is counted.

    Raises:
        UserError: the file is damaged, or has no such column.
    """
    for place, row in _rows(chunk):
        column = chunk.source.text
        if column not in row:
            raise UserError(
                f"{chunk.path} has no column {column!r}, it has {', '.join(map(str, row))}; name "
                "the one that holds the text with input.text"
            )
        text = row[column] or ""
        if not isinstance(text, str):
            raise UserError(f"{chunk.path}: the column {column!r} holds no text at {place}")
        fields = {key: value for key, value in row.items() if key not in (column, "source")}
        name = f"{Path(chunk.path).name}@{place}"
        if chunk.source.cut is None or len(text) <= chunk.source.cut:
            yield Document(name, text, fields, splitter)
            continue
        for number, piece in enumerate(pieces(text, chunk.source.cut)):
            yield Document(f"{name}#{number}", piece, fields, splitter)


def pieces(text: str, most: int) -> Iterator[str]:
    """Cut a text into pieces of at most so many characters, which joined give the text.

    A piece ends after the last blank line that lies in its second half, or else after the last
    line, or else after the last space.
    """
    start = 0
    while len(text) - start > most:
        stop = start + most
        for mark in ("\n\n", "\n", " "):
            found = text.rfind(mark, start + most // 2, stop)
            if found >= 0:
                stop = found + len(mark)
                break
        yield text[start:stop]
        start = stop
    yield text[start:]


def texts(names: Iterable[str], column: str = "text") -> Iterator[str]:
    """Yield the texts of files, folders or data sets, see `InputSettings.path`."""
    for name in names:
        source = InputSettings(path=name, text=column, cut=None)
        for chunk in chunks(source, 1 << 26):
            for document in read(chunk):
                yield document.text


def rows(name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file, folder or data set; of a text file one with the column `text`."""
    for chunk in chunks(InputSettings(path=name, cut=None), 1 << 26):
        for _, row in _rows(chunk):
            yield row


def read_text(path: Path) -> str:
    """Read a UTF-8 file.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        # with the line ends as they are
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})") from None


def _rows(chunk: Chunk) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a chunk, each with its place in the source."""
    if chunk.path.endswith(".jsonl"):
        with Path(chunk.path).open("rb") as file:
            yield from _json_rows(file, chunk)
    elif chunk.path.endswith((".jsonl.gz", ".json.gz")):
        try:
            with gzip.open(chunk.path, "rb") as packed:
                yield from _json_rows(packed, chunk)  # type: ignore[arg-type]
        except (gzip.BadGzipFile, EOFError) as error:
            raise UserError(f"{chunk.path} is damaged: {error}") from None
    elif chunk.path.endswith(".parquet"):
        yield from _parquet_rows(chunk)
    elif Path(chunk.path).is_file():
        yield 0, {chunk.source.text: read_text(Path(chunk.path))}
    else:
        loaded = made_rows(chunk.path)
        if loaded is None:
            loaded = load_dataset(chunk.path, chunk.source.part)
        for place in range(chunk.start, chunk.stop):
            yield place, loaded[place]


def _json_rows(file: io.BufferedReader, chunk: Chunk) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of the lines that begin in the chunk."""
    place = chunk.start
    if place:
        # the line that the chunk begins within belongs to the one before
        file.seek(place - 1)
        place += len(file.readline()) - 1
    packed = not chunk.path.endswith(".jsonl")
    while packed or place < chunk.stop:
        line = file.readline()
        if not line:
            return
        if line.strip():
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise UserError(f"{chunk.path}, byte {place}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise UserError(f"{chunk.path}, byte {place}: no JSON object")
            yield place, row
        place += len(line)


def _parquet(name: str) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(name)
    except pa.ArrowInvalid as error:
        raise UserError(f"{name} is no Parquet file: {error}") from None


def _parquet_rows(chunk: Chunk) -> Iterator[tuple[int, Mapping[str, Any]]]:
    file = _parquet(chunk.path)
    place = sum(file.metadata.row_group(group).num_rows for group in range(chunk.start))
    for batch in file.iter_batches(batch_size=256, row_groups=range(chunk.start, chunk.stop)):
        for row in batch.to_pylist():
            yield place, row
            place += 1
