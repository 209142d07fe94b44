"""Suite files: several evaluations in one YAML file.

samples: 4                     # settings that hold for all
max_tokens: 512
environments:
  - rlenv/Arithmetic-v0        # an id alone,
  - env: {id: rlenv/Arithmetic-v0, level: 4}
    name: long-sums            # or with settings of its own
    tasks: 200
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError
from rlenv.common.settings import parse, read_mapping
from rlenv.evaluation.plan import EvaluationPlan

_LIST = "environments"


def is_suite(name: str) -> bool:
    """Return whether a name is that of a suite file, not of an environment."""
    return Path(name).suffix in (".yaml", ".yml")


def read_suite(path: Path, overrides: Mapping[str, Any]) -> list[EvaluationPlan]:
    """Read a suite file.

    Args:
        path: the file.
        overrides: settings that come before those of the file.

    Raises:
        UserError: the file is missing, or holds what no suite has.
    """
    shared = read_mapping(path, f"{_LIST}:")
    entries = shared.pop(_LIST, None)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} needs a list of {_LIST}, such as {_LIST}: [rlenv/Arithmetic-v0]")
    plans = []
    for number, entry in enumerate(entries):
        own = {"env": entry} if isinstance(entry, str) else entry
        if not isinstance(own, dict) or "env" not in own:
            raise UserError(f"{path}: {_LIST}[{number}] is neither an id nor a mapping with env")
        plans.append(make_plan({**shared, **own, **overrides}, str(path), f"{_LIST}[{number}]."))
    return plans


def make_plan(values: Mapping[str, Any], where: str, prefix: str = "") -> EvaluationPlan:
    """Check the settings of one evaluation.

    Args:
        values: under the names of `EvaluationPlan`; `env` may be an id alone.
        where: the file or command line they come from, for messages.
        prefix: what stands before the settings' names there.

    Raises:
        UserError: one of them is wrong.
    """
    values = dict(values)
    if isinstance(values["env"], str):
        values["env"] = {"id": values["env"]}
    if values.get("split") == "train":
        raise UserError("an evaluation needs held-out tasks; use --split validation or test")
    return parse(EvaluationPlan, values, where, prefix)
