"""Which interpreter runs programs, and which files it needs."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rlenv.sandbox.verdict import SandboxError

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_PROGRAMS = ("/bin", "/usr/bin")
_DATA = ("/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache")

# A program sees this and nothing of the host's environment. The hash seed is fixed so that a
# verdict does not depend on the worker; one thread for numeric libraries, so that forking
# them is safe and their buffers stay small.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "USER": "nobody",
    "LOGNAME": "nobody",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "PYTHONHASHSEED": "0",
    "LD_BIND_NOW": "1",  # a symbol that is looked up in a run copies a page there
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Interpreter:
    """An interpreter and what must be visible for it to work.

    Args:
        executable: Its path.
        site: Folders with the preloaded modules, as (where it is, where to show it if the
            file system is ours to lay out: it may well lie below `/tmp`).
        readable: Other files and folders to show, read-only.
        links: Symbolic links to make, as (link, target).
    """

    executable: str
    site: tuple[tuple[str, str], ...]
    readable: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


def find(preload: tuple[str, ...], processes: bool) -> Interpreter:
    """Describe the interpreter that this process runs on.

    Args:
        preload: Modules to import ahead; the folder each lies in becomes visible.
        processes: Whether programs may start other programs, which then become visible.

    Raises:
        SandboxError: A module is not installed, or the interpreter is in a place that each run
            has a private version of.
    """
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    prefix = os.path.realpath(sys.base_prefix)
    # Its standard library, and where that keeps its compiled modules.
    compiled = importlib.util.find_spec("_struct") or importlib.util.find_spec("_ctypes")
    stdlib = [str(Path(os.__file__).parent)]
    if compiled and compiled.origin not in (None, "built-in"):
        stdlib.append(str(Path(compiled.origin or "").parent))
    if stdlib[0].startswith(("/tmp/", "/proc/", "/dev/")):
        raise SandboxError(f"programs could not see the interpreter's library in {stdlib[0]}")
    site = tuple((folder, f"/site/{i}") for i, folder in enumerate(_folders_of(preload)))
    shown = [*_LIBRARIES, *_DATA, *(_PROGRAMS if processes else ()), *stdlib, executable]
    shown += [f"{prefix}/lib/{p.name}" for p in Path(prefix, "lib").glob("libpython*.so*")]
    links = tuple((p, str(Path(p).readlink())) for p in shown if Path(p).is_symlink())
    real = sorted({os.path.realpath(p) for p in shown if Path(p).exists()})
    return Interpreter(executable, site, _outermost(real), links)


def _folders_of(modules: tuple[str, ...]) -> list[str]:
    folders = []
    for name in modules:
        try:
            spec = importlib.util.find_spec(name.partition(".")[0])
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            raise SandboxError(f"can't preload {name}: no such module is installed")
        if spec.origin in ("built-in", "frozen", None):
            continue
        where = Path(spec.origin or "").parent
        where = where.parent if spec.submodule_search_locations else where
        folder = os.path.realpath(where)
        if folder not in folders:
            folders.append(folder)
    return folders


def _outermost(paths: list[str]) -> tuple[str, ...]:
    """Drop paths that lie below another one; the input is sorted."""
    kept: list[str] = []
    for path in paths:
        if not any(path.startswith(f"{folder}/") for folder in kept):
            kept.append(path)
    return tuple(kept)
