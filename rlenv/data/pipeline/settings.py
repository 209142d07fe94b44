"""The configuration of a text pipeline: one YAML file, checked in full before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.common.plugins import short_name
from rlenv.common.settings import Settings, read_mapping
from rlenv.common.settings import parse as parse_section
from rlenv.data.pipeline import steps
from rlenv.data.pipeline.document import Splitter
from rlenv.data.pipeline.sources import InputSettings
from rlenv.data.pipeline.steps import TextFilter
from rlenv.run import config


class PipelineSettings(Settings):
    """A text pipeline.

    Attributes:
        input: the sources, in order; where documents are duplicates the earlier one stays.
        out: the folder that holds the result.
        steps: name of a step, or `file.py:name`, to its settings, in order.
        processes: worker processes; `auto` takes all cores. The result does not depend on it.
        chunk_megabytes: about so much is worked on at a time by each process; what a process had
            of it when it was killed is done again.
        words: what a word is, see `Document.splitter`.
        keep_dropped: write what was dropped too, with the reason.
    """

    input: list[InputSettings] = Field(min_length=1)
    out: str
    steps: dict[str, dict[str, Any]] = Field(min_length=1)
    processes: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    chunk_megabytes: float = Field(4.0, gt=0)
    words: Splitter = "spaces"
    keep_dropped: bool = False

    @property
    def workers(self) -> int:
        """The number of worker processes."""
        return (os.cpu_count() or 1) if self.processes == "auto" else self.processes


def read(path: Path, overrides: Sequence[str] = ()) -> PipelineSettings:
    """Read a pipeline's YAML file.

    Args:
        path: the file.
        overrides: `key=value` with dots for sections, such as `steps.minhash.bands=20`.

    Raises:
        UserError: the file is missing, is no YAML, or holds what no pipeline has.
    """
    raw = read_mapping(path, "input:")
    for override in overrides:
        config.apply_override(raw, override)
    return parse(raw, str(path))


def parse(raw: Mapping[str, Any], where: str) -> PipelineSettings:
    """Check the settings of a pipeline, those of its steps too."""
    values = dict(raw)
    inputs = values.get("input")
    if isinstance(inputs, (str, Mapping)):
        inputs = [inputs]
    if isinstance(inputs, list):
        values["input"] = [{"path": i} if isinstance(i, str) else i for i in inputs]
    if isinstance(values.get("steps"), dict):
        values["steps"] = {name: step or {} for name, step in values["steps"].items()}
    found = parse_section(PipelineSettings, values, where, "")
    make_steps(found, where)
    return found


def make_steps(settings: PipelineSettings, where: str = "settings") -> dict[str, TextFilter[Any]]:
    """Make the steps of a pipeline, in order, by their names without the files they come from.

    Raises:
        UserError: there is no such step or setting, or there are two of one name.
    """
    made = {}
    for ref, raw in settings.steps.items():
        name = short_name(ref)
        if name in made:
            raise UserError(f"{where}: two steps are called {name}; rename one of them in its file")
        made[name] = steps.make(ref, raw, where)
    return made


def check_out(out: Path) -> None:
    """Raise a `UserError` if a folder holds what is no pipeline's."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give another out")
    if out.is_dir() and not (out / "plan.json").exists():
        strange = sorted(p.name for p in out.iterdir() if p.name != ".lock")
        if strange:
            raise UserError(
                f"{out} holds files that no pipeline made ({', '.join(strange[:3])}); give "
                "another out"
            )
