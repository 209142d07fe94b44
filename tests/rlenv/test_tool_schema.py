"""Tools are described as transformers describes them, without transformers."""

import json
from enum import Enum
from typing import Any, Literal, Optional, Union

import pytest
from transformers.utils import get_json_schema

from rlenv.core.tool_schema import NotDescribed, describe


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def nothing() -> None:
    """Do nothing."""


def plain(a: int, b: float = 1.0, c: str = "x", d: bool = False, e: Any = None):
    """Take what is plain.

    In two paragraphs, with a colon: here.

    Args:
        a: a number, e.g. one
            that goes on: in a deeper line
        b: another

        c: a text
          and more of it
        d: yes or no
        e: anything
    """


def containers(
    a: list, b: list[int], c: dict, d: dict[str, list[float]], e: tuple, f: tuple[int, str]
) -> dict[str, int]:
    """Take containers.

    Args:
        a: a
        b: b
        c: c
        d: d
        e: e
        f: f

    Returns:
        what was counted,
        by name

    Raises:
        ValueError: never
    """
    return {}


def unions(
    a: int | None,
    b: Optional[str],  # noqa: UP045
    c: Union[int, str],  # noqa: UP007
    d: int | list[int] | None = None,
    e: list | tuple = (),
    f: Literal["x", "y"] | int = "x",
) -> str | None:
    """Take unions.

    Args:
        a: a
        b: b
        c: c
        d: d
        e: e
        f: f
    """


def choices(a: Literal["x", 2, None], c: str) -> str:
    """Take one of a few.

    Args:
        a: a
        c: a drink (choices: ["tea", " coffee "])

    Returns:
        a drink
    """
    return c


def wordless(a: int) -> object:
    """Return something.

    Args:
        a: a

    Returns:
        Something that JSON has no word for.
    """


def members(a: Colour, b: Colour | None = None) -> Colour | None:
    """Take members of an Enum.

    Args:
        a: a
        b: b

    Returns:
        one of them
    """


class Holder:
    def method(self, a: int) -> str:
        """Be a method.

        Args:
            a: a
        """
        return ""


THEIRS = get_json_schema(members)["function"]["parameters"]["properties"]
exacting = pytest.mark.skipif(
    "enum" not in THEIRS["a"], reason="this transformers calls all that it does not know an object"
)
CASES = [nothing, plain, containers, unions, choices, Holder.method, Holder().method]
CASES += [pytest.param(function, marks=exacting) for function in (members, wordless)]


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__qualname__)
def test_it_is_what_transformers_says_to_the_byte(function):
    assert json.dumps(describe(function)) == json.dumps(get_json_schema(function))


def no_docstring(a: int):
    pass


def no_hint(a):
    """Do.

    Args:
        a: a
    """


def no_description(a: int, b: int):
    """Do.

    Args:
        a: a
    """


def own_class(a: Holder):
    """Do.

    Args:
        a: a
    """


def any_length(a: tuple[int, ...]):
    """Do.

    Args:
        a: a
    """


def unknown_name(a: "NotThere"):  # noqa: F821
    """Do.

    Args:
        a: a
    """


def bad_choices(a: str):
    """Do.

    Args:
        a: a (choices: tea, coffee)
    """


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (no_docstring, "no docstring"),
        (no_hint, "argument a has no type hint"),
        (no_description, "nothing of the argument b"),
        (own_class, "Holder.* has no JSON form"),
        (any_length, "has no JSON form"),
        (unknown_name, "NotThere"),
        (bad_choices, "no JSON list"),
    ],
)
def test_what_is_missing_is_said(function, says):
    with pytest.raises(NotDescribed, match=says):
        describe(function)
