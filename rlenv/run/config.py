"""Configurations: one YAML file a run, checked in full before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from rlenv.common.errors import UserError, did_you_mean
from rlenv.common.plugins import short_name
from rlenv.common.settings import Settings, parse, read_mapping
from rlenv.engines.settings import EngineSettings

MOST_THREADS = 1024  # far beyond it torch takes the process down with it


class EnvSettings(BaseModel):
    """Which environment, and its own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    id: str

    @model_validator(mode="after")
    def _has_no_split(self) -> EnvSettings:
        if "split" in self.options:
            raise ValueError("split is no option of an environment: who plays it chooses the split")
        return self

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
        data_root: a folder with local copies of data sets, in which a hub id such as
            `openai/gsm8k` is looked for before the hub is asked; by default the one that the
            variable `RLENV_DATA_ROOT` names.
        report_to: where metrics go beside `metrics.jsonl`: any of `tensorboard`, `wandb` and
            `trackio`, one word or a list.
        stages: name of a stage, or `file.py:name`, to its settings, in order.
        evaluate: the evaluation at the end; leave it out for none.
    """

    seed: int = Field(0, ge=0, lt=2**31)
    run_dir: str
    env: EnvSettings | None = None
    model: str | None = None
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | Literal["auto"] = "auto"
    device: str = "auto"
    engine: EngineSettings = EngineSettings()
    data_root: str | None = None
    report_to: list[Literal["tensorboard", "wandb", "trackio"]] = Field(default_factory=list)
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


SettingsOf = Callable[[str], Collection[str]]
"""From a stage, as a run names it, to the names of its settings."""


def read(
    path: Path, overrides: Sequence[str] = (), settings_of: SettingsOf = lambda stage: ()
) -> RunSettings:
    """Read a run's YAML file.

    Args:
        path: the file.
        overrides: `key=value` with dots for sections; a stage is addressed by its name alone, so
            `grpo.steps=10` sets `stages: {grpo: {steps: 10}}`.
        settings_of: of a stage, to say where a setting belongs that stands outside of its stage.

    Raises:
        UserError: the file is missing, is no YAML, or holds what no run has.
    """
    raw = read_mapping(path, "stages:")
    for override in overrides:
        apply_override(raw, override)
    return parse_run(raw, str(path), settings_of)


# sections that may be given as one word, and what that word then is
_SHORT = {"env": "id", "engine": "kind"}


def parse_run(
    raw: Mapping[str, Any], where: str, settings_of: SettingsOf = lambda stage: ()
) -> RunSettings:
    """Check the top level of a run; the stages' own settings are checked by each stage."""
    values = dict(raw)
    _check_stages(values.get("stages", {}), where)
    for name, value in values.items():
        if name in RunSettings.model_fields or not isinstance(name, str):
            continue
        if hint := _meant(name, value, raw, settings_of):
            raise UserError(f"{where}: {hint}")
    for name, key in _SHORT.items():
        if isinstance(values.get(name), str):
            values[name] = {key: values[name]}
    if isinstance(values.get("report_to"), str):
        values["report_to"] = [] if values["report_to"] == "none" else [values["report_to"]]
    if isinstance(values.get("stages"), dict):
        values["stages"] = {name: stage or {} for name, stage in values["stages"].items()}
    return parse(RunSettings, values, where, "")


def _check_stages(stages: Any, where: str) -> None:
    if not isinstance(stages, Mapping):
        raise UserError(
            f"{where}: stages must be names of stages with their settings, such as stages: "
            f"{{grpo: {{steps: 100}}}}, not {stages!r}"
        )
    for name, settings in stages.items():
        if not isinstance(name, str) or not isinstance(settings, Mapping | None):
            raise UserError(
                f"{where}: stages.{name} must hold settings, such as {{steps: 100}}, not "
                f"{settings!r}"
            )


def _meant(name: str, value: Any, raw: Mapping[str, Any], settings_of: SettingsOf) -> str:
    """Return what was meant by a setting that no run has; an empty string where nobody knows."""
    stages = {short_name(ref): ref for ref in raw.get("stages") or {}}
    if isinstance(value, Mapping):  # a stage's settings, as in grop.steps=10
        if did_you_mean(name, RunSettings.model_fields):
            return ""
        return (
            f"{name} is no section of this run, whose stages are {', '.join(stages)}."
            f"{did_you_mean(name, stages)}"
        )
    owners = [stage for stage, ref in stages.items() if name in settings_of(ref)]
    if not owners:
        return ""
    return f"{name} is a setting of a stage. Did you mean {owners[0]}.{name}?"


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
    if "" in parts:
        raise UserError(f"{override!r} is not of the form section.setting=value: a name is empty")
    stages = raw.get("stages")
    if isinstance(stages, dict):
        refs = {short_name(ref): ref for ref in stages}
        if parts[0] in refs:
            parts = ["stages", refs[parts[0]], *parts[1:]]
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


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return the options of `--option key=value`, values read as YAML."""
    options: dict[str, Any] = {}
    for option in given:
        apply_override(options, option)
    return options


def to_yaml(settings: RunSettings) -> str:
    """Write a run as YAML that `read` reads back to the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
