"""Environments by name: `register`, `make`, `spec`, and Gymnasium's registry kept in step.

An id is `namespace/Name-vN`. Environments come from this process (`register`), from installed
packages (entry point group `rlenv.environments`), and from a file (`path/to/file.py:Name-v0`).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlenv.common.errors import UserError
from rlenv.common.extras import explained
from rlenv.core import gymnasium_ids

if TYPE_CHECKING:
    from rlenv.core.env import TextEnv

EnvType = TypeVar("EnvType", bound=type)

_ID = re.compile(r"^[\w-]+(/[\w.:-]+)+-v\d+$")
_specs: dict[str, EnvSpec] = {}
_plugins_loaded = False
_files_loaded: dict[Path, list[str]] = {}


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
            UserError: an option that the environment does not have.
        """
        merged = {**self.options, **options}
        factory = self.load()
        try:
            return factory(split=split, **merged)
        except TypeError as error:
            found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if found is None or found[1] not in merged:
                raise
            raise UserError(f"{self.id} has no option {found[1]!r}") from None


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
    _specs[id] = EnvSpec(id, entry_point, options)
    gymnasium_ids.tell(id)
    return entry_point


def spec(ref: str) -> EnvSpec:
    """Return the spec of a registered id, or of `path/to/file.py:Name-v0`.

    Raises:
        UserError: there is no such environment; the nearest ids are named.
    """
    path, colon, name = ref.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), name)
    if ref not in _specs:
        _load_plugins()
    if ref not in _specs:
        near = difflib.get_close_matches(ref, _specs, n=3, cutoff=0.5)
        near = near or [i for i in _specs if ref.lower() in i.lower()][:3] or sorted(_specs)[:8]
        raise UserError(f"there is no environment {ref!r}. The nearest: {', '.join(near)}")
    return _specs[ref]


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
    _load_plugins()
    return sorted(_specs)


def _load_plugins() -> None:
    global _plugins_loaded
    if _plugins_loaded:
        return
    _plugins_loaded = True
    import logging  # these two take longer to import than the rest of this module
    from importlib import metadata

    for plugin in metadata.entry_points(group="rlenv.environments"):
        try:
            plugin.load()
        except Exception as error:  # noqa: BLE001 a broken package must not take the others along
            logging.getLogger(__name__).warning(
                "the environments of %s could not be loaded: %s", plugin.name, error
            )


def import_file(path: Path) -> None:
    """Import a Python file by its path, once.

    Raises:
        UserError: there is no such file, or it can't be imported.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UserError(f"{path} does not exist; it was given as file.py:Name")
    import hashlib
    import traceback

    # the name is part of task sets' fingerprints and of pickles: the same in every process, and,
    # unless two files share theirs, wherever the file lies
    name = f"_rlenv_file_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ != str(path):
        name += f"_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise UserError(
            f"{path} can't be imported: {type(error).__name__}: {error} (line {line})"
        ) from error


def _from_file(path: Path, name: str) -> EnvSpec:
    path = path.expanduser().resolve()
    if path not in _files_loaded:
        before = dict(_specs)
        import_file(path)
        _files_loaded[path] = [i for i, known in _specs.items() if before.get(i) is not known]
    ids = _files_loaded[path]
    for found in ids:
        if name in (found, found.rpartition("/")[2]):
            return _specs[found]
    raise UserError(
        f"{path.name} does not register {name!r}; it registers {', '.join(ids) or 'nothing'}"
    )


def _tell_all() -> None:
    for id in _specs:
        gymnasium_ids.tell(id)


if not gymnasium_ids.imported():
    gymnasium_ids.when_imported(_tell_all)
