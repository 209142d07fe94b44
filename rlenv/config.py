"""Configurations: one YAML file a run, checked in full before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rlenv.errors import UserError, did_you_mean


class Settings(BaseModel):
    """A section of a configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _rising(part: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= part[0] < part[1] <= 1:
        raise PydanticCustomError("part", "two rising numbers from 0 to 1 make a part of the tasks")
    return part


# of the tasks of a split, by their content; see `rlenv.task.TaskSet.part`
TaskPart = Annotated[tuple[float, float], AfterValidator(_rising)]


class EnvSettings(BaseModel):
    """Which environment, and its own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    id: str

    @property
    def options(self) -> dict[str, Any]:
        """The options passed to the environment."""
        return dict(self.model_extra or {})

    def inside(self, run_dir: str) -> EnvSettings:
        """Return them with `${run_dir}` filled in, so that they can name what a stage leaves."""

        def filled(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace("${run_dir}", run_dir)
            if isinstance(value, list):
                return [filled(one) for one in value]
            if isinstance(value, Mapping):
                return {name: filled(one) for name, one in value.items()}
            return value

        return EnvSettings(id=self.id, **filled(self.options))


class EngineSettings(Settings):
    """What generates the policy's replies.

    Attributes:
        kind: `auto` takes the fastest that runs the model here: `native`, rlenv's own decode loop,
            or `transformers`; `vllm` is a server on other GPUs.
        url: of the vLLM server.
        timeout: seconds to wait for the vLLM server to be up.
        group_port: a free port of the machine that trains, through which weights are sent.
        dtype: what the native engine computes in: that of the model, or `bfloat16`, which is faster
            for models of some millions of parameters where the processor has instructions for it;
            logprobs are then off by some hundredths.
    """

    kind: Literal["auto", "native", "transformers", "vllm"] = "auto"
    url: str = "http://localhost:8000"
    timeout: float = Field(default=60.0, ge=0)
    group_port: int = Field(default=51216, ge=1, le=65535)
    dtype: Literal["model", "bfloat16"] = "model"

    @model_validator(mode="after")
    def _dtype_is_read(self) -> EngineSettings:
        if self.dtype != "model" and self.kind in ("transformers", "vllm"):
            raise ValueError(f"dtype is read by the native engine, not by {self.kind}")
        return self


class EvaluateSettings(Settings):
    """The evaluation at the end of a run.

    Attributes:
        split: `test` or `validation`.
        tasks: how many different tasks.
        samples: samples a task at `temperature`, beside one greedy one.
        temperature: to sample with.
        max_tokens: of a reply.
    """

    split: Literal["test", "validation"] = "test"
    tasks: int = Field(500, ge=1)
    samples: int = Field(4, ge=1)
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(256, ge=1)


class RunSettings(Settings):
    """A whole run.

    Attributes:
        seed: governs everything random.
        run_dir: the folder that holds the run.
        env: id of the environment, or a mapping with `id` and its options, in which `${run_dir}`
            stands for the run's folder; stages that only read text and conversations need none.
        model: a checkpoint folder or hub id to start from, where no stage makes one.
        threads: CPU threads for torch. One is the fastest for models below a million parameters
            and the only safe choice on a busy machine; `auto` takes all cores.
        device: `auto`, `cpu`, `cuda`, ...
        engine: what generates, by its kind or with its settings.
        report_to: where metrics go beside `metrics.jsonl`: any of `tensorboard`, `wandb` and
            `trackio`, one word or a list.
        stages: name of a stage to its settings, in order.
        evaluate: the evaluation at the end; leave it out for none.
    """

    seed: int = Field(0, ge=0, lt=2**31)
    run_dir: str
    env: EnvSettings | None = None
    model: str | None = None
    threads: int | Literal["auto"] = "auto"
    device: str = "auto"
    engine: EngineSettings = EngineSettings()
    report_to: list[Literal["tensorboard", "wandb", "trackio"]] = []
    stages: dict[str, dict[str, Any]] = Field(min_length=1)
    evaluate: EvaluateSettings | None = None

    @model_validator(mode="after")
    def _evaluation_has_an_environment(self) -> RunSettings:
        if self.evaluate is not None and self.env is None:
            raise ValueError("evaluate needs an env to evaluate on")
        return self

    @property
    def environment(self) -> EnvSettings | None:
        """The environment, with `${run_dir}` in its options filled in."""
        return None if self.env is None else self.env.inside(self.run_dir)


Section = TypeVar("Section", bound=BaseModel)


def parse(section: type[Section], values: Mapping[str, Any], where: str, prefix: str) -> Section:
    """Check values against a section.

    Args:
        section: the settings class.
        values: as read from YAML.
        where: the file, for the message.
        prefix: the section's name and a dot, or an empty string at the top.

    Raises:
        UserError: one sentence on the first thing that is wrong, with a "did you mean".
    """
    try:
        return section.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(section, error, prefix)}") from None


def _sentence(section: type[BaseModel], error: ValidationError, prefix: str) -> str:
    errors = error.errors()
    unknown = [e for e in errors if e["type"] == "extra_forbidden"]
    first = (unknown or errors)[0]
    name = prefix + ".".join(str(part) for part in first["loc"] if not _is_type_tag(part))
    if first["type"] == "extra_forbidden":
        model: Any = section
        for part in first["loc"][:-1]:
            if isinstance(part, int) or _is_type_tag(part):  # the place in a list, or in a union
                continue
            annotation = model.model_fields[str(part)].annotation
            inner = [a for a in getattr(annotation, "__args__", (annotation,)) if _is_model(a)]
            model = inner[0] if inner else model
        hint = did_you_mean(str(first["loc"][-1]), model.model_fields)
        known = "" if hint else f" There are {', '.join(model.model_fields)}."
        return f"{name} is not a setting.{hint}{known}"
    if first["type"] == "missing":
        return f"{name} is missing."
    return f"{name}: {first['msg'].lower()}, got {first['input']!r}."


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_type_tag(part: Any) -> bool:
    # pydantic appends the name of the member of a union that it tried
    return isinstance(part, str) and (
        part in ("int", "float", "str", "bool")
        or part.startswith(("literal[", "list[", "dict["))
        or part.endswith(("Settings", "Settings]"))  # with validators around it, or without
    )


def read(path: Path, overrides: Sequence[str] = ()) -> RunSettings:
    """Read a run's YAML file.

    Args:
        path: the file.
        overrides: `key=value` with dots for sections; a stage is addressed by its name alone, so
            `grpo.steps=10` sets `stages: {grpo: {steps: 10}}`.

    Raises:
        UserError: the file is missing, is no YAML, or holds what no run has.
    """
    raw = read_mapping(path, "stages:")
    for override in overrides:
        apply_override(raw, override)
    return parse_run(raw, str(path))


def read_mapping(path: Path, example: str) -> dict[str, Any]:
    """Read a YAML file that holds settings.

    Args:
        path: the file.
        example: a setting such a file has, for the message.

    Raises:
        UserError: the file is missing, is no YAML, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the path of a YAML file with {example!r}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold settings such as {example!r}, not {type(raw).__name__}")
    return raw


# sections that may be given as one word, and what that word then is
_SHORT = {"env": "id", "engine": "kind"}


def parse_run(raw: Mapping[str, Any], where: str) -> RunSettings:
    """Check the top level of a run; the stages' own settings are checked by each stage."""
    values = dict(raw)
    for name, key in _SHORT.items():
        if isinstance(values.get(name), str):
            values[name] = {key: values[name]}
    if isinstance(values.get("report_to"), str):
        values["report_to"] = [] if values["report_to"] == "none" else [values["report_to"]]
    if isinstance(values.get("stages"), dict):
        values["stages"] = {name: stage or {} for name, stage in values["stages"].items()}
    return parse(RunSettings, values, where, "")


def apply_override(raw: dict[str, Any], override: str) -> None:
    """Set one `key=value` in a run as read from YAML.

    Raises:
        UserError: there is no `=`, the value is no YAML, or the key leads through a value.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r} is not of the form key=value")
    try:
        value = yaml.safe_load(text) if text else None
    except yaml.YAMLError:
        raise UserError(f"{override!r}: {text!r} is no YAML value") from None
    parts = key.split(".")
    stages = raw.get("stages")
    if isinstance(stages, dict) and parts[0] in stages:
        parts = ["stages", *parts]
    place: Any = raw
    for part in parts[:-1]:
        if place.get(part) is None:
            place[part] = {}
        elif part in _SHORT and isinstance(place[part], str):
            place[part] = {_SHORT[part]: place[part]}
        place = place[part]
        if not isinstance(place, dict):
            raise UserError(f"{override!r}: {part} is a value, it has no settings below it")
    place[parts[-1]] = value


def to_yaml(settings: RunSettings) -> str:
    """Write a run as YAML that `read` reads back to the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
