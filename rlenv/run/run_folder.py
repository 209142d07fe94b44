"""The folder of a run: its config, lock, metrics, checkpoints, and which stages are finished."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from rlenv.common.errors import UserError
from rlenv.common.files import json_line, lock, open_log, read_lines, write_atomically
from rlenv.common.settings import differences
from rlenv.run import config


class RunFolder:
    """One run's folder. Use it as a context manager: it is locked while open.

    Layout: `config.yaml` (resolved), `metrics.jsonl`, `episodes.jsonl`, `samples.jsonl` (texts that
    a model in pretraining wrote), `warnings.jsonl` (what was said of a run that goes wrong),
    `stages.json` (what is finished), one checkpoint folder a stage, `results.json`, `report.html`;
    `state/` holds what an interrupted stage goes on from, `failed/` the batch that a loss exploded
    on.

    Args:
        path: the folder; it is made if need be.
        settings: the run.
        owned: whether this process is the one that writes there; if not, it only reads.

    Raises:
        UserError: it is in use, or holds another run.
    """

    def __init__(self, path: Path, settings: config.RunSettings, *, owned: bool = True) -> None:
        self.path = path
        self.settings = settings
        self.owned = owned
        self._lock: IO[str] | None = None
        self._logs: dict[str, IO[str]] = {}

    def __enter__(self) -> RunFolder:
        if not self.owned:
            return self
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; give another run_dir")
        kept = self.path / "config.yaml"
        if self.path.is_dir() and not kept.exists():
            strange = [p.name for p in self.path.iterdir() if p.name != ".lock"]
            if strange:
                raise UserError(
                    f"{self.path} holds files that are no run ({', '.join(sorted(strange)[:3])}); "
                    "give another run_dir"
                )
        self._lock = lock(self.path, "run_dir")
        try:
            if kept.exists():
                self._check_same(kept)
            else:
                write_atomically(kept, config.to_yaml(self.settings))
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        if self._lock is not None:
            self._lock.close()

    def _check_same(self, kept: Path) -> None:
        theirs = config.read(kept).model_dump(mode="json", exclude={"run_dir", "data_root"})
        ours = self.settings.model_dump(mode="json", exclude={"run_dir", "data_root"})
        if theirs != ours:
            different = sorted(differences(theirs, ours, ""))
            raise UserError(
                f"{self.path} holds a run of another config (different: "
                f"{', '.join(different[:4])}); give another run_dir, or remove that folder"
            )

    def checkpoint(self, stage: str) -> Path:
        """Where a stage leaves its checkpoint."""
        return self.path / stage

    def state(self, stage: str) -> Path:
        """Where a stage keeps what it needs to go on after an interruption."""
        return self.path / "state" / stage

    def finished(self) -> dict[str, Any]:
        """Return what each finished stage left in its record."""
        record = self.path / "stages.json"
        return json.loads(record.read_text()) if record.exists() else {}

    def finish(self, stage: str, record: Mapping[str, Any]) -> None:
        """Note that a stage is finished, and drop its interim state."""
        write_atomically(
            self.path / "stages.json",
            json.dumps({**self.finished(), stage: dict(record)}, indent=1),
        )
        shutil.rmtree(self.state(stage), ignore_errors=True)

    def log(self, name: str, record: Mapping[str, Any]) -> None:
        """Append a line to `<name>.jsonl`; a number that is not finite becomes null."""
        if name not in self._logs:
            self._logs[name] = open_log(self.path / f"{name}.jsonl")
        self._logs[name].write(json_line(_plain(record)))
        self._logs[name].flush()

    def read_log(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the lines of `<name>.jsonl`, see `read_lines`."""
        yield from read_lines(self.path / f"{name}.jsonl")

    def rewind_log(self, name: str, stage: str, step: int) -> None:
        """Drop a stage's lines after a step, which a resumed stage will write again."""
        if name in self._logs:
            self._logs.pop(name).close()
        path = self.path / f"{name}.jsonl"
        if path.exists():
            kept = [r for r in self.read_log(name) if r.get("stage") != stage or r["step"] <= step]
            write_atomically(path, "".join(map(json_line, kept)))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
