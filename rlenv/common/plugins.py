"""Things by name that files and other packages can add to, without touching a file of rlenv.

Environments, stages, engines, text filters and algorithms are each kept in one `Registry`. Three
ways lead into any of them:

- a call of `register` in this process;
- a file, named `path/to/file.py:name`: it is imported, and registers `name`;
- an installed package with an entry point in the registry's group. What the entry point names is
  imported when a name is asked for that is not known yet, and registers what it holds:

      [project.entry-points."rlenv.stages"]
      mine = "my_package.stages"
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from rlenv.common.errors import UserError, cause, did_you_mean
from rlenv.common.extras import explained

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")
Thing = TypeVar("Thing")

_files: dict[str, Path] = {}  # module name -> the file it was imported from, in order
_importing: list[Path] = []  # the files that are being imported now, the innermost last


class Registry(Generic[Kind]):
    """What there is of one kind, by name.

    Args:
        what: the kind, as messages call it: `stage`.
        group: of the entry points through which packages add to it: `rlenv.stages`.
        built_in: name to `module:attribute`, which is imported when it is first asked for.

    Example:
        >>> stages = Registry("stage", "rlenv.stages")
        >>> @stages.register("warmup")
        ... class Warmup(Stage): ...
        >>> stages.find("warmup")
        <class 'Warmup'>
        >>> stages.find("my_stages.py:cooldown")  # a file that registers it
        <class '_rlenv_file_my_stages.Cooldown'>
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, str] | None = None) -> None:
        self.what, self.group = what, group
        self.built_in = dict(built_in or {})
        self._registered: dict[str, Kind] = {}
        self._of_file: dict[Path, dict[str, Kind]] = {}
        self._packages_loaded = False

    @overload
    def register(self, name: str) -> Callable[[Thing], Thing]: ...

    @overload
    def register(self, name: str, thing: Thing) -> Thing: ...

    def register(self, name: str, thing: Any = None) -> Any:
        """Add something, as a decorator or as a call. A name that was taken is taken over.

        Args:
            name: what it is found by.
            thing: leave it out to decorate a class or a function.

        Returns:
            The thing, unchanged; or a decorator.

        Raises:
            ValueError: rlenv has one of that name itself.
        """
        if name in self.built_in:
            raise ValueError(f"rlenv has a {self.what} {name!r} itself; choose another name")
        if thing is None:
            return lambda made: self.register(name, made)
        self._registered[name] = thing
        for path in _importing:  # what a file imports, it registers too
            self._of_file.setdefault(path, {})[name] = thing
        return thing

    def registered(self, name: str) -> Kind | None:
        """Return what was registered under a name by the file that is imported now, or else here.

        For what is registered in two parts.
        """
        if _importing:
            return self._of_file.get(_importing[-1], {}).get(name)
        return self._registered.get(name)

    def find(self, ref: str) -> Kind:
        """Return the thing of a name.

        Args:
            ref: its name, or `path/to/file.py:name` to import it from there.

        Raises:
            UserError: there is none of that name, or no such file.
        """
        path, name = split_ref(ref)
        if path is not None:
            return self._from_file(path, name)
        if not self.knows(name):
            known = self.names()
            raise UserError(
                f"there is no {self.what} {name!r}; there are {', '.join(known)}."
                f"{did_you_mean(name, known)}"
            )
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            with explained(f"the {self.what} {name}"):
                found: Kind = getattr(importlib.import_module(module), attribute)
            return found
        return self._registered[name]

    def knows(self, name: str) -> bool:
        """Return whether there is something of that name, installed packages included."""
        if name not in self.built_in and name not in self._registered:
            self._load_packages()
        return name in self.built_in or name in self._registered

    def names(self) -> list[str]:
        """Return all names, rlenv's own first, then those of packages and files in order."""
        self._load_packages()
        return [*self.built_in, *sorted(self._registered)]

    def here(self) -> list[str]:
        """Return the names that were registered so far; no package is loaded for it."""
        return list(self._registered)

    def in_file(self, path: Path) -> list[str]:
        """Return the names that a file registers, in order; it is imported.

        Raises:
            UserError: there is no such file, or it can't be imported.
        """
        path = path.expanduser().resolve()
        import_file(path)
        return list(self._of_file.get(path, {}))

    def _from_file(self, path: Path, name: str) -> Kind:
        path = path.expanduser().resolve()
        import_file(path)
        found = self._of_file.get(path, {})
        for known, thing in found.items():
            if name in (known, known.rpartition("/")[2]):
                return thing
        raise UserError(
            f"{path.name} does not register the {self.what} {name!r}; it registers "
            f"{', '.join(found) or 'nothing'}"
        )

    def _load_packages(self) -> None:
        if self._packages_loaded:
            return
        self._packages_loaded = True
        from importlib import metadata  # late: it takes longer to import than the rest of rlenv

        for plugin in metadata.entry_points(group=self.group):
            try:
                plugin.load()
            except Exception as error:  # noqa: BLE001 a broken package must not take the others along
                log.warning(
                    "%s of the group %s could not be loaded: %s", plugin.name, self.group, error
                )


def split_ref(ref: str) -> tuple[Path | None, str]:
    """Return the file, if there is one, and the name of `name` or `path/to/file.py:name`."""
    path, _, name = ref.rpartition(":")
    return (Path(path), name) if path.endswith(".py") else (None, ref)


def short_name(ref: str) -> str:
    """Return the name alone of `name` or `path/to/file.py:name`."""
    return split_ref(ref)[1]


def import_file(path: Path) -> None:
    """Import a Python file by its path, once.

    Raises:
        UserError: there is no such file, or it can't be imported.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UserError(f"{path} does not exist; it was given as file.py:Name")
    # the name is part of task sets' fingerprints and of pickles: the same in every process, and,
    # unless two files share theirs, wherever the file lies
    name = _module_name(path)
    if name in sys.modules and sys.modules[name].__file__ != str(path):
        name += f"_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    _import_as(name, path)


def lasting_name(module: str) -> str:
    """Return a module's name; of a file that was imported by its path, the same in every process.

    Two files of one name get different names as modules, in the order in which they come.
    """
    return _module_name(_files[module]) if module in _files else module


def _module_name(path: Path) -> str:
    return f"_rlenv_file_{path.stem}"


def imported_files() -> dict[str, Path]:
    """Return the files that were imported by their path, by the names of their modules."""
    return dict(_files)


def import_files(files: Mapping[str, Path]) -> None:
    """Import in a worker process what `imported_files` returned in the one that started it.

    Objects of classes from such files can be unpickled afterwards.
    """
    for name, path in files.items():
        if name not in sys.modules:
            _import_as(name, path)


def _import_as(name: str, path: Path) -> None:
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    _importing.append(path)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # what lies beside a file can be imported there
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} can't be imported: {cause(error)}") from error
    finally:
        _importing.pop()
    _files[name] = path
