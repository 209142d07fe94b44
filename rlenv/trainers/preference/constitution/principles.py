"""A constitution: principles, read from YAML."""

from __future__ import annotations

import random
from pathlib import Path

from pydantic import Field, field_validator

from rlenv.common.settings import Settings, parse, read_mapping

DEFAULT = Path(__file__).with_name("principles.yaml")

_CRITIQUE = (
    "Read your last reply again. Does it live up to this principle? {text} Say in a few sentences "
    "where it falls short, and how badly. Do not write the reply anew yet."
)
_REVISION = (
    "Now write the reply anew, so that it lives up to the principle and still answers what was "
    "asked. Write the new reply alone, without comments on it."
)


class Principle(Settings):
    """One principle.

    Attributes:
        name: by which reports name it.
        text: what a reply should be like.
        critique: how a critic is asked, in place of the usual words; `{text}` stands for the text.
        revision: how a revision is asked for.
    """

    name: str = Field(min_length=1)
    text: str = Field(min_length=1)
    critique: str = _CRITIQUE
    revision: str = _REVISION

    @property
    def asks_critique(self) -> str:
        """What a critic is asked."""
        return self.critique.replace("{text}", self.text)

    @property
    def asks_revision(self) -> str:
        """How a revision is asked for."""
        return self.revision.replace("{text}", self.text)


class Constitution(Settings):
    """Principles with different names."""

    principles: list[Principle] = Field(min_length=1)

    @field_validator("principles")
    @classmethod
    def _names_differ(cls, principles: list[Principle]) -> list[Principle]:
        names = [principle.name for principle in principles]
        if len(set(names)) < len(names):
            raise ValueError("two principles have the same name")
        return principles

    def draw(self, rng: random.Random) -> Principle:
        """Draw a principle."""
        return rng.choice(self.principles)


def load(path: str | None) -> Constitution:
    """Read a constitution.

    Args:
        path: of a YAML file; the one that comes with rlenv if left out.

    Raises:
        UserError: the file is missing or holds no constitution.
    """
    place = DEFAULT if path is None else Path(path).expanduser()
    return parse(Constitution, read_mapping(place, "principles:"), str(place), "")
