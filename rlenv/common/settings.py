"""Settings that people write: checked in full, and what is wrong told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from rlenv.common.errors import UserError, did_you_mean


class Settings(BaseModel):
    """A section of a configuration; unknown keys are errors.

    Attributes:
        renamed: earlier names of settings, and what they are called now; whoever still writes one
            is told so.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= ends[0] < ends[1] <= 1:
        raise PydanticCustomError("range", "two rising numbers from 0 to 1 make a range of tasks")
    return ends


# of the tasks of a split, by their content; see `TaskSet.part`
TaskRange = Annotated[tuple[float, float], AfterValidator(_rising)]


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
    name = _plain(first["loc"], prefix)
    if first["type"] == "extra_forbidden":
        model: Any = section
        for part in first["loc"][:-1]:
            if isinstance(part, int) or _is_type_tag(part):  # the place in a list, or in a union
                continue
            annotation = model.model_fields[str(part)].annotation
            inner = [a for a in getattr(annotation, "__args__", (annotation,)) if _is_model(a)]
            model = inner[0] if inner else model
        hint = suggestion(model, str(first["loc"][-1]))
        known = "" if hint else f" There are {', '.join(model.model_fields)}."
        return f"{name} is not a setting.{hint}{known}"
    if first["type"] == "missing":
        return f"{name} is missing."
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):
        # of several settings together, which were all read
        return f"{name.rstrip('.')}: {first['ctx']['error']}".removeprefix(": ")
    # of a union, each member says what it would take
    alike = [e["msg"] for e in errors if _plain(e["loc"], prefix) == name]
    text = first["msg"].lower()
    if len(alike) > 1 and all(msg.startswith(_SHOULD) for msg in alike):
        wanted = dict.fromkeys(msg.removeprefix(_SHOULD).partition(",")[0] for msg in alike)
        text = f"{_SHOULD}{' or '.join(wanted)}".lower()
    return f"{name}: {text}, got {first['input']!r}."


_SHOULD = "Input should be "


def _plain(place: tuple[int | str, ...], prefix: str) -> str:
    """Return the dotted name of a place that pydantic names."""
    return prefix + ".".join(str(part) for part in place if not _is_type_tag(part))


def suggestion(section: type[BaseModel], name: str) -> str:
    """Return `" Did you mean X?"` for a name that is no setting: its new name or the nearest one.

    Args:
        section: the settings class.
        name: what was written.
    """
    renamed: Mapping[str, str] = getattr(section, "renamed", {})
    if name in renamed:
        return f" Did you mean {renamed[name]}?"
    return did_you_mean(name, section.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_type_tag(part: Any) -> bool:
    # pydantic appends the name of the member of a union that it tried
    return isinstance(part, str) and (
        part in ("int", "float", "str", "bool")
        or part.startswith(("literal[", "list[", "dict["))
        or part.startswith("constrained-")
        or part.endswith(("Settings", "Settings]"))  # with validators around it, or without
    )


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands there twice; leave out one", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"


def read_mapping(path: Path, example: str) -> dict[str, Any]:
    """Read a YAML file that holds settings.

    Args:
        path: the file.
        example: a setting such a file has, for the message.

    Raises:
        UserError: the file is missing, is no YAML, or holds something else.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the path of a YAML file with {example!r}")
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the path of a YAML file with {example!r}")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if raw is None:
        raise UserError(f"{path} is empty; it must hold settings such as {example!r}")
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold settings such as {example!r}, not {type(raw).__name__}")
    return raw


def differences(a: Any, b: Any, name: str) -> Iterator[str]:
    """Yield the dotted names of what differs between two mappings of settings.

    Args:
        a: one of them.
        b: the other.
        name: of both, to put before; an empty string at the top.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {*a, *b}:
            yield from differences(a.get(key), b.get(key), f"{name}.{key}" if name else key)
    elif a != b:
        yield name.removeprefix("stages.")
