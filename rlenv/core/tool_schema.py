"""A Python function described as a tool: the JSON form that chat templates expect.

The form is the one of transformers' `get_json_schema`, to the byte, so that a policy reads the same
words; but describing a tool must not take an installed transformers.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]

_SCALARS: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    type(None): "null",
}
_CONTAINERS: dict[Any, str] = {list: "array", tuple: "array", dict: "object"}
_HEADING = re.compile(r"(Args|Returns|Raises):[ \t]*\Z")
_ENTRY = re.compile(r"(\w+):\s*(.*)")
_CHOICES = re.compile(r"\s*\(choices:\s*(.*?)\)\s*\Z", re.IGNORECASE)


class NotDescribed(Exception):
    """A function's type hints or docstring don't say enough; the text says what is missing."""


def describe(function: Callable[..., Any]) -> Schema:
    """Return a function as a tool in the JSON form of chat templates.

    Args:
        function: with a type hint for each argument and a Google-style docstring that describes
            each; a description may end in `(choices: ["a", "b"])`.

    Raises:
        NotDescribed: a hint or a description is missing, or a hint has no JSON form.
    """
    about, told, returned = _docstring(function)
    hints = _hints(function)
    properties: dict[str, Schema] = {}
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        unhinted = parameter.annotation is inspect.Parameter.empty
        if unhinted and name in ("self", "cls") and not properties:
            continue  # the function of a method, seen from outside of an instance
        if unhinted:
            raise NotDescribed(f"its argument {name} has no type hint")
        if name not in told:
            raise NotDescribed(f"its docstring says nothing of the argument {name}")
        properties[name] = _described(_schema(hints[name]), told[name])
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
    parameters: Schema = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    made: Schema = {"name": function.__name__, "description": about, "parameters": parameters}
    if "return" in hints:
        try:
            made["return"] = _schema(hints["return"])
        except NotDescribed:  # the policy writes no results, so their type may stay unknown
            pass
        else:
            if returned is not None:
                made["return"]["description"] = returned
    return {"type": "function", "function": made}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError as error:
        raise NotDescribed(f"a type hint can't be resolved: {error}") from None


def _described(schema: Schema, description: str) -> Schema:
    choices = _CHOICES.search(description)
    if choices is not None:
        try:
            values = json.loads(choices[1])
        except json.JSONDecodeError:
            raise NotDescribed(f"its choices {choices[1]} are no JSON list") from None
        schema["enum"] = [v.strip() if isinstance(v, str) else v for v in values]
        description = description[: choices.start()].strip()
    return {**schema, "description": description}


def _schema(hint: Any) -> Schema:
    """Return the JSON schema of a type hint."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is None:
        return _plain(hint)
    if origin is Union or origin is types.UnionType:
        return _union(inner)
    if origin is Literal:
        return _one_of(inner, hint)
    if origin is list:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1])}
    if origin is tuple and len(inner) > 1 and ... not in inner:
        return {"type": "array", "prefixItems": [_schema(one) for one in inner]}
    raise NotDescribed(f"the type hint {hint} has no JSON form; a list[...] may do")


def _plain(hint: Any) -> Schema:
    if hint is Any:
        return {}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of([member.value for member in hint], hint)
    name = _SCALARS.get(hint) or _CONTAINERS.get(hint)
    if name is None:
        raise NotDescribed(
            f"the type hint {hint!r} has no JSON form; use int, float, str, bool, an Enum, a "
            "Literal, or lists, tuples, dicts and unions of these"
        )
    return {"type": name}


def _union(inner: Sequence[Any]) -> Schema:
    kinds = [_schema(one) for one in inner if one is not type(None)]
    simple = all(kind.keys() == {"type"} and isinstance(kind["type"], str) for kind in kinds)
    if len(kinds) == 1:
        made = kinds[0]
    elif simple:
        names = sorted({kind["type"] for kind in kinds})
        made = {"type": names if len(names) > 1 else names[0]}
    else:
        made = {"anyOf": kinds}
    if type(None) in inner:
        made["nullable"] = True
    return made


def _one_of(values: Sequence[Any], hint: Any) -> Schema:
    if not values or any(type(value) not in _SCALARS for value in values):
        raise NotDescribed(f"the values of {hint} are no JSON texts, numbers or truth values")
    names = list(dict.fromkeys(_SCALARS[type(value)] for value in values))
    return {"type": names if len(names) > 1 else names[0], "enum": list(values)}


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str], str | None]:
    """Return what a docstring says of a function, of each argument, and of the result."""
    text = inspect.getdoc(function)
    if not text or not text.strip():
        raise NotDescribed("it has no docstring")
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in text.strip().splitlines():
        heading = _HEADING.match(line)
        if heading is not None:
            current = sections.setdefault(heading[1], [])
        else:
            current.append(line)
    told = _arguments([line for line in sections.get("Args", []) if line.strip()])
    returned = sections.get("Returns")
    return (
        "\n".join(sections[""]).strip(),
        told,
        None if returned is None else "\n".join(returned).strip(),
    )


def _arguments(lines: Sequence[str]) -> dict[str, str]:
    """Read the lines of an Args section; those indented deeper go on with the entry above."""
    told: dict[str, str] = {}
    name, depth = "", 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        entry = _ENTRY.match(line.strip())
        if entry is not None and (not told or indent <= depth):
            name, depth = entry[1], indent
            told[name] = entry[2].strip()
        elif name:
            told[name] = f"{told[name]} {line.strip()}".strip()
    return told
