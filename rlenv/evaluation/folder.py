"""The folder of one evaluation: what it depends on, its samples, and its figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from rlenv.common.errors import UserError
from rlenv.common.files import lock, write_atomically
from rlenv.common.settings import differences
from rlenv.evaluation.samples import Sample, read_samples, write_samples

Evaluated = tuple[dict[str, Any], list[Sample]]
"""The result and the samples of an evaluation."""


class EvaluationFolder:
    """One evaluation's folder. Use it as a context manager: it is locked while open.

    Layout: `settings.json`, what the figures depend on; `samples.parquet`; `result.json`, the
    settings and the figures. While the evaluation runs, `parts/` holds the samples made so far.

    Args:
        path: the folder; it is made if need be.
        settings: everything that the figures depend on, as plain values.

    Raises:
        UserError: it is in use, or holds an evaluation of other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))
        self._lock: IO[str] | None = None

    def __enter__(self) -> EvaluationFolder:
        kept = self.path / "settings.json"
        if self.path.is_dir() and not kept.exists():
            strange = [p.name for p in self.path.iterdir() if p.name != ".lock"]
            if strange:
                raise UserError(
                    f"{self.path} holds files that are no evaluation "
                    f"({', '.join(sorted(strange)[:3])}); give another --output"
                )
        self._lock = lock(self.path, "--output")
        try:
            if kept.exists():
                self._check_same(json.loads(kept.read_text(encoding="utf-8")))
            else:
                write_atomically(kept, json.dumps(self.settings, indent=1, ensure_ascii=False))
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def _check_same(self, theirs: Mapping[str, Any]) -> None:
        if theirs != self.settings:
            changed = sorted(differences(theirs, self.settings, ""))
            raise UserError(
                f"{self.path} holds an evaluation of other settings (different: "
                f"{', '.join(changed[:4])}); give another --output, or remove that folder"
            )

    def samples(self) -> list[Sample]:
        """Return the samples that are kept so far."""
        whole = self.path / "samples.parquet"
        if whole.exists():
            return read_samples(whole)
        return [s for part in self._parts() for s in read_samples(part)]

    def append(self, samples: Sequence[Sample]) -> None:
        """Keep some more samples; all of them or none."""
        (self.path / "parts").mkdir(exist_ok=True)
        write_samples(self.path / "parts" / f"{len(self._parts()):06}.parquet", samples)

    def finish(self, samples: Sequence[Sample], figures: Mapping[str, Any]) -> None:
        """Write `result.json`; with `complete` among the figures, also `samples.parquet`."""
        if figures["complete"]:
            write_samples(self.path / "samples.parquet", samples)
            shutil.rmtree(self.path / "parts", ignore_errors=True)
        result = {**self.settings, **figures}
        write_atomically(
            self.path / "result.json", json.dumps(result, indent=1, ensure_ascii=False)
        )

    def _parts(self) -> list[Path]:
        return sorted((self.path / "parts").glob("*.parquet"))


_AGAIN = "remove the folder and evaluate again"
_PARTS = ("result.json", "samples.parquet")


def is_evaluation(path: Path) -> bool:
    """Whether a folder holds a finished evaluation."""
    return all((path / name).is_file() for name in _PARTS)


def read_evaluation(path: Path) -> tuple[dict[str, Any], list[Sample]]:
    """Return the result and the samples of a finished evaluation.

    Raises:
        UserError: the folder holds none.
    """
    if not path.is_dir():
        raise UserError(f"{path} does not exist; give the folder that python -m rlenv.eval wrote")
    for name in _PARTS:
        if not (path / name).is_file():
            inside = sorted(str(p.parent) for p in path.glob("evaluations/*/result.json"))
            if inside:
                raise UserError(
                    f"{path} is the folder of a run; give one of its evaluations: "
                    f"{', '.join(inside)}"
                )
            raise UserError(
                f"{path} holds no finished evaluation: there is no {name} in it; give the folder "
                "that python -m rlenv.eval wrote"
            )
    try:
        result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path / 'result.json'} is no JSON ({error}); {_AGAIN}") from None
    if not isinstance(result, dict):
        raise UserError(f"{path / 'result.json'} holds no result; {_AGAIN}")
    try:
        return result, read_samples(path / "samples.parquet")
    except ImportError:
        raise  # what is lacking is an extra
    except Exception as error:  # noqa: BLE001 pyarrow raises many kinds
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path / 'samples.parquet'} is damaged ({why}); {_AGAIN}") from None


def greedy_replies(kept: Mapping[str, Evaluated]) -> list[tuple[Sample, ...]]:
    """Return each checkpoint's greedy reply to the same tasks, a tuple a task."""
    return list(
        zip(*([s for s in samples if s.greedy] for _, samples in kept.values()), strict=True)
    )
