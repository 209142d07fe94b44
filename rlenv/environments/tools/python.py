"""Python, run in the sandbox."""

from __future__ import annotations

import threading
from functools import lru_cache

import rlenv
from rlenv.sandbox import Limits, Sandbox, SandboxError

_MIB = 1 << 20
_LIMITS = Limits(cpu_seconds=2.0, memory_bytes=256 * _MIB, output_bytes=16_384)
_making = threading.Lock()


def python(code: str) -> str:
    """Run a Python program and return what it prints.

    Args:
        code: the program; it must print what is to be seen. It has two seconds, no network and no
            files, and nothing is left of it afterwards.
    """
    try:
        with _making:
            box = _sandbox()
        result = box.run(code)
    except SandboxError as error:
        raise rlenv.ToolFailed(f"the sandbox does not work here: {error}") from None
    if result.status == "infrastructure":
        raise rlenv.ToolFailed(f"the sandbox failed: {result.detail}")
    printed = result.stdout.rstrip("\n")
    if result.status == "ok":
        return printed or "(it printed nothing)"
    raised = result.stderr.strip().rpartition("\n")[2] if result.status == "error" else ""
    return f"{printed}\nerror: {raised or result.detail}".lstrip("\n")


@lru_cache(maxsize=1)
def _sandbox() -> Sandbox:
    return Sandbox(limits=_LIMITS)  # shared by all environments of a process
