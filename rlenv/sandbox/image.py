"""A container image made of the interpreter that is running, without a registry.

`python -m rlenv.sandbox.image --preload numpy` builds it ahead of time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rlenv.sandbox.interpreter import Interpreter, find
from rlenv.sandbox.verdict import SandboxError

REPOSITORY = "rlenv-sandbox"
PYTHON_LABEL = "rlenv.sandbox.python"
SITE_LABEL = "rlenv.sandbox.site"
# Parts of the standard library that programs have no use for, and that are large.
_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "ensurepip",
    "turtledemo",
    "lib2to3",
}
_ZONES = "/usr/share/zoneinfo"
_LAYOUT = 4  # to be raised when the content changes


def ensure_image(client: Any, preload: tuple[str, ...]) -> str:
    """Find or build the image for this interpreter.

    Args:
        client: A docker-py API client.
        preload: Modules whose distributions go into it.

    Returns:
        The image's name.

    Raises:
        SandboxError: It can't be built on this machine.
    """
    names = sorted(_distributions(preload))
    name = f"{REPOSITORY}:{_tag(names)}"
    if client.images(name):
        return name
    interpreter = find(preload, processes=False)
    with tempfile.TemporaryDirectory(prefix="rlenv-sandbox-image-") as folder:
        archive = Path(folder, "image.tar")
        _pack(archive, interpreter, names)
        changes = [
            f"LABEL {PYTHON_LABEL}={interpreter.executable}",
            f"LABEL {SITE_LABEL}={':'.join(shown for _, shown in interpreter.site)}",
        ]
        answer = client.import_image_from_file(
            str(archive), repository=REPOSITORY, tag=name.partition(":")[2], changes=changes
        )
    if "error" in answer:
        raise SandboxError(f"the engine refused the image: {answer[-300:]}")
    return name


def _tag(distributions: list[str]) -> str:
    versions = [f"{name}={importlib.metadata.version(name)}" for name in distributions]
    text = repr((sys.version, os.path.realpath(sys.executable), versions, _LAYOUT))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _distributions(modules: Iterable[str]) -> set[str]:
    """The distributions that provide the modules, and those they require."""
    providers = importlib.metadata.packages_distributions()
    waiting = [name for m in modules for name in providers.get(m.partition(".")[0], ())]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required under a condition that does not hold here
        if distribution.metadata["Name"] in found:
            continue
        found.add(distribution.metadata["Name"])
        for line in distribution.requires or ():
            match = re.match(r"[A-Za-z0-9._-]+", line)
            if match and "extra ==" not in line:
                waiting.append(match[0])
    return found


def _pack(archive: Path, interpreter: Interpreter, distributions: list[str]) -> None:
    executable = interpreter.executable
    files = {executable: executable}
    compiled = [executable]
    for path in (*_standard_library(), *_installed(distributions)):
        files[_shown(path, interpreter)] = path
        if ".so" in Path(path).name:
            compiled.append(path)
    for zone in Path(_ZONES).rglob("*"):
        if zone.is_file():
            files[str(zone)] = os.path.realpath(zone)
    for path in map(os.path.normpath, _libraries(compiled)):
        files.setdefault(_shown(path, interpreter), os.path.realpath(path))
    with tarfile.open(archive, "w") as tar:
        for name in ("tmp", "proc", "dev", "sys", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        for shown, real in sorted(files.items()):
            _add(tar, shown, Path(real))
        data = b"nobody:x:65534:65534:nobody:/tmp:/bin/false\n"
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size = len(data)
        tar.addfile(passwd, io.BytesIO(data))


def _shown(path: str, interpreter: Interpreter) -> str:
    for folder, shown in interpreter.site:
        if path.startswith(f"{folder}/"):
            return shown + path[len(folder) :]
    return path


def _add(tar: tarfile.TarFile, shown: str, real: Path) -> None:
    # By hand: owner, times and modes of this machine are none of the image's business.
    data = real.read_bytes()
    member = tarfile.TarInfo(shown.lstrip("/"))
    member.size = len(data)
    member.mode = 0o755 if os.access(real, os.X_OK) else 0o644
    tar.addfile(member, io.BytesIO(data))


def _standard_library() -> Iterator[str]:
    roots = {str(Path(os.__file__).parent)}
    spec = importlib.util.find_spec("_struct")
    if spec and spec.origin and spec.origin.startswith("/"):
        roots.add(str(Path(spec.origin).parent))
    for root in roots:
        for folder, below, names in os.walk(root):
            below[:] = [b for b in below if b not in _LEFT_OUT and not b.startswith("config-")]
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118
                if ".opt-" not in name and Path(path).is_file():
                    yield path


def _installed(distributions: list[str]) -> Iterator[str]:
    for name in distributions:
        for file in importlib.metadata.files(name) or ():
            path = os.path.realpath(str(file.locate()))
            if "/tests/" not in path and "/bin/" not in path and Path(path).is_file():
                yield path


def _libraries(compiled: list[str]) -> set[str]:
    """The shared libraries that binaries need, the loader included."""
    result = subprocess.run(["ldd", *compiled], capture_output=True, text=True, check=False)
    found = set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", result.stdout, re.MULTILINE))
    if not found:
        raise SandboxError(f"can't tell which libraries the interpreter needs: {result.stderr}")
    return found


def main() -> None:
    """Build the image and print its name."""
    parser = argparse.ArgumentParser(prog="python -m rlenv.sandbox.image", description=__doc__)
    parser.add_argument("--preload", nargs="*", default=[], help="modules to put in")
    arguments = parser.parse_args()
    import docker

    client = docker.APIClient(timeout=300, **docker.utils.kwargs_from_env())
    print(ensure_image(client, tuple(arguments.preload)))  # noqa: T201


if __name__ == "__main__":
    main()
