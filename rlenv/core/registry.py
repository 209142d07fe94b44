"""Environments by name: `register`, `make`, `spec`, and Gymnasium's registry kept in step.

An id is `namespace/Name-vN`. Environments come from this process (`register`), from installed
packages (entry point group `rlenv.environments`), and from a file (`path/to/file.py:Name-v0`).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlenv.common.errors import UserError, cause, did_you_mean
from rlenv.common.extras import explained
from rlenv.common.plugins import Registry, split_ref
from rlenv.core import gymnasium_ids

if TYPE_CHECKING:
    from rlenv.core.env import TextEnv

EnvType = TypeVar("EnvType", bound=type)

_ID = re.compile(r"^[\w-]+(/[\w.:-]+)+-v\d+$")


@dataclass(frozen=True)
class EnvSpec:
    """How to make an environment.

    Attributes:
        id: `namespace/Name-vN`.
        entry_point: the class, or `module:Class`, which is imported when it is first made.
        options: settings passed to the class; `make` can override them.
    """

    id: str
    entry_point: Callable[..., TextEnv] | str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., TextEnv]:
        """Import and return the class."""
        if not isinstance(self.entry_point, str):
            return self.entry_point
        module, _, name = self.entry_point.partition(":")
        with explained(self.id):
            found: Callable[..., TextEnv] = getattr(importlib.import_module(module), name)
        return found

    def make(self, *, split: str = "train", **options: Any) -> TextEnv:
        """Make the environment.

        Raises:
            UserError: an option that the environment does not have, or its class raises.
        """
        merged = {**self.options, **options}
        factory = self.load()
        try:
            made = factory(split=split, **merged)
            if not hasattr(made, "split"):
                raise TypeError("__init__ must call super().__init__(split=split, ...)")
            return made
        except UserError:
            raise
        except Exception as error:
            found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if isinstance(error, TypeError) and found is not None and found[1] in merged:
                has = options_of(factory)
                raise UserError(
                    f"{self.id} has no option {found[1]!r}; it has {', '.join(has)}."
                    f"{did_you_mean(found[1], has)}"
                ) from None
            raise NotMade(f"{self.id} can't be made: {cause(error)}") from error


class NotMade(UserError, ValueError):
    """The class of an environment raised when it was made."""


def options_of(factory: Callable[..., Any]) -> list[str]:
    """Return the names of the options of an environment, its own before those that all have.

    Args:
        factory: its class, or what makes it.
    """
    kinds = factory.__mro__ if isinstance(factory, type) else [factory]
    found: dict[str, None] = {}
    for kind in kinds:
        if isinstance(kind, type) and "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(kind).parameters.values()
        found |= {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in found if name not in ("split", "tasks", "render_mode")]


_specs: Registry[EnvSpec] = Registry("environment", "rlenv.environments")


def register(
    id: str, entry_point: Callable[..., TextEnv] | str | None = None, /, **options: Any
) -> Any:
    """Register an environment, as a decorator or as a call.

    Args:
        id: `namespace/Name-vN`.
        entry_point: the class or `"module:Class"`; leave it out to decorate a class.
        **options: settings passed to the class whenever it is made.

    Returns:
        The class, unchanged; or a decorator.

    Raises:
        ValueError: the id has another form.

    Example:
        >>> @rlenv.register("demo/Reverse-v0")
        ... class Reverse(rlenv.SingleTurnEnv): ...
    """
    if not _ID.match(id):
        raise ValueError(f"an id looks like 'namespace/Name-v0', not {id!r}")
    if entry_point is None:

        def decorate(cls: EnvType) -> EnvType:
            register(id, cls, **options)
            return cls

        return decorate
    made = EnvSpec(id, entry_point, options)
    _specs.register(id, made)
    gymnasium_ids.tell(id)
    return entry_point


def spec(ref: str) -> EnvSpec:
    """Return the spec of a registered id, or of `path/to/file.py:Name-v0`.

    Raises:
        UserError: there is no such environment; the nearest ids are named.
    """
    path, _ = split_ref(ref)
    if path is None and ref.endswith(".py"):
        ids = _specs.in_file(Path(ref))
        raise UserError(
            f"{ref} registers {', '.join(ids) or 'no environment'}; give the one that is meant "
            f"after the file: {ref}:{ids[0] if ids else 'demo/Name-v0'}"
        )
    if path is None and not _specs.knows(ref):
        known = _specs.names()
        near = difflib.get_close_matches(ref, known, n=3, cutoff=0.5)
        near = near or [i for i in known if ref.lower() in i.lower()][:3] or known[:8]
        raise UserError(f"there is no environment {ref!r}. The nearest: {', '.join(near)}")
    return _specs.find(ref)


def make(ref: str, *, split: str = "train", **options: Any) -> TextEnv:
    """Make an environment.

    Args:
        ref: an id, or `path/to/file.py:Name-v0`.
        split: `train`, `validation` or `test`.
        **options: settings of the environment.

    Raises:
        UserError: no such environment, split or option.
    """
    return spec(ref).make(split=split, **options)


def registered() -> list[str]:
    """Return all ids known here, installed packages included, in order."""
    return _specs.names()


def _tell_all() -> None:
    for id in _specs.here():
        gymnasium_ids.tell(id)


if not gymnasium_ids.imported():
    gymnasium_ids.when_imported(_tell_all)
