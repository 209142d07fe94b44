"""What an evaluation is, beside the model, where it is kept, and carrying it out."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rlenv.common.display import Display
from rlenv.common.errors import UserError
from rlenv.common.version import DISTRIBUTION
from rlenv.core import registry
from rlenv.core.env import TextEnv
from rlenv.engines.base import Sampling
from rlenv.evaluation.folder import EvaluationFolder
from rlenv.evaluation.limits import EvaluationLimits
from rlenv.evaluation.model_under_test import ModelUnderTest
from rlenv.evaluation.run import evaluate
from rlenv.rollouts.rollout import EnvPool
from rlenv.run.config import EnvSettings, EvaluateSettings

_ROOT = Path("evaluations")
_JUDGING_ROOMS = ("environments", "parsing", "sandbox")  # of rlenv: verdicts come from these
_LIBRARIES = (DISTRIBUTION, "torch", "transformers", "tokenizers", "numpy")


class EvaluationPlan(EvaluateSettings):
    """How a model is evaluated on one environment.

    At temperature 0 there is one sample a task, which is the greedy reply, and no other beside it.

    Attributes:
        env: the environment, with its options.
        name: of the evaluation's folder where there are several; by default the environment's.
        temperature: to sample with; 0 takes the most likely token.
        dtype: what a local model generates in: that of its weights, or `bfloat16`; see
            `rlenv.engines.settings.EngineSettings`.
        greedy: make one reply at temperature 0 as well.
        top_p: see `rlenv.engines.base.Sampling`.
        top_k: see `rlenv.engines.base.Sampling`.
        min_p: see `rlenv.engines.base.Sampling`.
        stop: texts that end a reply.
        system: a system message that opens every conversation.
        seed: of the environments and of the sampling.
        max_grader_errors: with a larger share of samples not judged, the result is invalid.
    """

    env: EnvSettings
    name: str | None = None
    temperature: float = Field(1.0, ge=0)
    dtype: Literal["model", "bfloat16"] = "model"
    greedy: bool = True
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    stop: tuple[str, ...] = ()
    system: str | None = None
    seed: int = Field(0, ge=0, lt=2**31)
    max_grader_errors: float = Field(0.02, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _one_sample_at_temperature_0(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("temperature") == 0:
            return {"samples": 1, **values, "greedy": False}
        return values

    @field_validator("temperature")
    @classmethod
    def _samples_differ(cls, temperature: float, info: ValidationInfo) -> float:
        if temperature == 0 and info.data.get("samples", 1) > 1:
            raise PydanticCustomError(
                "alike", "all samples at temperature 0 would be alike, so samples can only be 1"
            )
        return temperature

    @property
    def sampling(self) -> Sampling:
        """How the samples are made."""
        return Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            stop=self.stop,
        )

    def make_env(self) -> TextEnv:
        """Make the environment, on the split."""
        return registry.make(self.env.id, split=self.split, **self.env.options)

    def record(self, model: Mapping[str, Any], env: TextEnv) -> dict[str, Any]:
        """Return everything that the figures depend on, as plain values.

        Args:
            model: what is evaluated, such as its name and a digest.
            env: as made by `make_env`.
        """
        chosen = {} if self.dtype == "model" else {"dtype": self.dtype}
        return {
            "model": {**model, **chosen},
            "env": registry.spec(self.env.id).id,
            "ref": self.env.id,
            "options": self.env.options,
            "env_version": env_version(env),
            "split": self.split,
            "fingerprint": env.tasks.fingerprint,
            "reward_range": list(env.reward_range),
            "solved_at": env.solved_at,
            **self.model_dump(mode="json", exclude={"env", "name", "split", "dtype"}),
            "libraries": libraries(),
        }


def folders(
    plans: Sequence[EvaluationPlan], records: Sequence[Mapping[str, Any]], output: str | None
) -> list[EvaluationFolder]:
    """Return where evaluations are kept.

    Args:
        plans: the evaluations.
        records: what the figures of each depend on.
        output: the folder of a single evaluation, or of several ones' folders. If None, there is
            one for each in `evaluations/`: other settings, another folder.

    Raises:
        UserError: two of them would be kept in one place.
    """
    paths = []
    for plan, record in zip(plans, records, strict=True):
        name = slug(plan.name or f"{record['env'].rpartition('/')[2]}-{record['split']}")
        if output is None:
            text = json.dumps(record, sort_keys=True)
            model = slug("-".join(Path(record["model"]["name"]).parts[-2:]))
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            paths.append(_ROOT / model / f"{name}-{digest}")
        else:
            paths.append(Path(output) if len(plans) == 1 else Path(output) / name)
    for n, path in enumerate(paths):
        if path in paths[:n]:
            raise UserError(
                f"two evaluations would be kept in {path}; in a suite file, give one another name"
            )
    return [EvaluationFolder(path, record) for path, record in zip(paths, records, strict=True)]


def slug(text: str) -> str:
    """Return a text as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "model"


def evaluate_plan(
    plan: EvaluationPlan,
    model: ModelUnderTest,
    folder: EvaluationFolder,
    display: Display,
    *,
    batch: int | None = None,
    label: str | None = None,
    limits: EvaluationLimits | None = None,
) -> dict[str, Any]:
    """Carry out an evaluation, or go on with it, and return its result.

    Args:
        plan: what to do.
        model: the model.
        folder: where to keep it.
        display: the screen.
        batch: episodes at once.
        label: what the screen calls it; the environment's id if left out.
        limits: on time and cost.

    Raises:
        UserError: the folder holds an evaluation of other settings, or the model can't generate in
            the plan's dtype.
        RunFailed: the grader could judge no sample.
    """
    player = model.maker(plan.dtype)(plan.system)  # what is refused here leaves no folder
    if few := few_tasks(plan):
        display.say(few)
    with folder:
        display.begin(label or plan.env.id, plan.tasks * (plan.samples + plan.greedy))
        try:
            result = evaluate(
                EnvPool(plan.make_env),
                player,
                tasks=plan.tasks,
                samples=plan.samples,
                sampling=plan.sampling,
                seed=plan.seed,
                greedy=plan.greedy,
                batch=batch,
                folder=folder,
                most_grader_errors=plan.max_grader_errors,
                stop=(limits or EvaluationLimits()).watch(folder.samples()),
                progress=lambda done, total: display.update(done, {}),
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped; the samples so far are in {folder.path}, and the same command goes on"
            ) from None
        finally:
            display.end()
    return {**folder.settings, **result.row(), "folder": str(folder.path)}


_FEW = 30  # tasks below which an interval is too wide to tell models apart


def few_tasks(plan: EvaluationPlan) -> str:
    """Return what to say of a split with fewer tasks than were asked for; "" where it is enough.

    Raises:
        UserError: the split has no task at all.
    """
    found = len(plan.make_env().tasks.distinct(min(plan.tasks, _FEW)))
    if found == 0:
        raise UserError(
            f"no task of {plan.env.id} falls into the {plan.split} split; give it more rows, or a "
            "generate that makes more different tasks"
        )
    if found >= min(plan.tasks, _FEW):
        return ""
    return (
        f"the {plan.split} split of {plan.env.id} has only {found} tasks, of which no figure is "
        "sure; give the environment more different tasks"
    )


def env_version(env: TextEnv) -> dict[str, str]:
    """Return the package of an environment, and a digest of the code that judges there.

    The digest is of all Python files of the top-level package that holds the class, or of its one
    file; of rlenv's own only the rooms that judge count. It changes when a verifier does, and at
    times when none did.
    """
    top = type(env).__module__.partition(".")[0]
    root, files = judging_files(type(env))
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return {"package": _distribution(top), "code": digest.hexdigest()[:16]}


def judging_files(kind: type[TextEnv]) -> tuple[Path, list[Path]]:
    """Return the folder and the Python files that an environment's verdicts come from.

    Args:
        kind: the environment's class.
    """
    top = kind.__module__.partition(".")[0]
    package = sys.modules.get(top)
    if package is None or not hasattr(package, "__path__"):
        file = Path(inspect.getfile(kind))
        return file.parent, [file]
    root = Path(next(iter(package.__path__)))
    rooms = _JUDGING_ROOMS if top == "rlenv" else ("",)
    return root, sorted(path for room in rooms for path in (root / room).rglob("*.py"))


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures may depend on."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _distribution(package: str) -> str:
    """Return the installed distribution that a top-level package comes from, and its version."""
    name = DISTRIBUTION if package == "rlenv" else package
    with contextlib.suppress(metadata.PackageNotFoundError):
        return f"{name} {metadata.version(name)}"
    # looks through everything that is installed, which takes a while
    owners = metadata.packages_distributions().get(package, [])
    return ", ".join(f"{name} {metadata.version(name)}" for name in owners) or package
