"""The guest's sources, in one piece, and the command that starts an interpreter on them."""

from __future__ import annotations

import marshal
import struct
from functools import cache
from pathlib import Path

# In an order in which each finds what it imports.
_MODULES = (
    "codec",
    "linux",
    "syscalls",
    "seccomp",
    "landlock",
    "redirect",
    "semaphores",
    "runner",
    "jails.base",
    "jails.landlock",
    "jails.container",
    "jails.namespaces",
    "jails.unsafe",
    "jails",
    "messages",
    "watch",
    "zygote",
    "supervisor",
)

# No site packages, no user site, no bytecode files; UTF-8 whatever the locale. PYTHON*
# variables are not ignored, because the environment is ours and sets the hash seed.
FLAGS = ("-s", "-S", "-B", "-X", "utf8")

BOOTSTRAP = """
import sys, os, marshal
sys.path[:] = [p for p in sys.path if p]
fd, mode = int(sys.argv[1]), sys.argv[2]
def exactly(n):
    data = b""
    while len(data) < n:
        part = os.read(fd, n - len(data))
        if not part: os._exit(0)
        data += part
    return data
for name, is_package, source in marshal.loads(exactly(int.from_bytes(exactly(8), "little"))):
    module = type(sys)(name)
    module.__file__ = "<" + name + ">"
    if is_package: module.__path__ = []
    sys.modules[name] = module
    exec(compile(source, module.__file__, "exec"), module.__dict__)
supervisor = sys.modules["rlenv.sandbox.guest.supervisor"]
if mode == "run":
    supervisor.run_fresh()
else:
    supervisor.main(fd, fd if fd else int(mode))
    os._exit(0)
"""


@cache
def bundle() -> bytes:
    """The guest's sources with their length before them, as `BOOTSTRAP` reads them."""
    folder = Path(__file__).parent / "guest"
    parts = [
        ("rlenv", True, ""),
        ("rlenv.sandbox", True, ""),
        ("rlenv.sandbox.guest", True, ""),
        ("rlenv.sandbox.guest.jails", True, ""),
    ]
    for name in _MODULES:
        path = folder / (name.replace(".", "/") + ".py")
        if not path.exists():
            path = folder / name / "__init__.py"
        is_package = path.name == "__init__.py"
        parts.append((f"rlenv.sandbox.guest.{name}", is_package, path.read_text("utf-8")))
    data = marshal.dumps(parts, 2)  # a format that every Python 3 reads
    return struct.pack("<Q", len(data)) + data
