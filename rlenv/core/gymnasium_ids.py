"""Gymnasium's registry, kept in step with rlenv's without importing Gymnasium for it.

Importing Gymnasium takes several times as long as importing rlenv. What is registered before
somebody else imports it is told to Gymnasium in the moment when that happens.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it takes longer to import than all of rlenv
    from importlib.abc import Loader, MetaPathFinder
else:
    Loader = MetaPathFinder = object

_REGISTRATION = "gymnasium.envs.registration"
_ENTRY_POINT = "rlenv.core.registry:make"


def gymnasium_id(id: str) -> str | None:
    """Return an environment's id in Gymnasium, which knows one namespace: `a/b/C-v0` is `a-b/C-v0`.

    None for an id that Gymnasium does not take.
    """
    namespace, _, name = id.rpartition("/")
    theirs = f"{namespace.replace('/', '-')}/{name}"
    return theirs if re.fullmatch(r"[\w:-]+/[\w:.-]+-v\d+", theirs) else None


def imported() -> bool:
    """Return whether Gymnasium's registry is there; not while it is being imported."""
    return hasattr(sys.modules.get(_REGISTRATION), "register_envs")


def tell(id: str) -> None:
    """Register an environment with Gymnasium, in place of one of that id, if it is imported."""
    theirs = gymnasium_id(id)
    if theirs is None or not imported():
        return
    registration: Any = sys.modules[_REGISTRATION]
    registration.registry.pop(theirs, None)
    registration.register(id=theirs, entry_point=_ENTRY_POINT, kwargs={"ref": id})


def when_imported(act: Callable[[], object]) -> None:
    """Do something once Gymnasium's registry has been imported; it must not be there yet."""
    sys.meta_path.insert(0, _Watch(act))


class _Watch(MetaPathFinder):
    """Sees Gymnasium's registry being imported, which goes on as it would have."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != _REGISTRATION:
            return None
        sys.meta_path.remove(self)
        found = importlib.util.find_spec(fullname)
        if found is not None and found.loader is not None:
            found.loader = _ThenAct(found.loader, self._act)
        return found


class _ThenAct(Loader):
    """A loader that does something after the module was loaded."""

    def __init__(self, loader: Loader, act: Callable[[], object]) -> None:
        self._loader, self._act = loader, act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # whoever asks the module for its loader gets the one that it had without us
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._act()
