"""A sandbox for untrusted Python programs whose verdicts can be trusted.

It knows nothing of the rest of rlenv and can be used without it::

    from rlenv.sandbox import Limits, Sandbox

    with Sandbox(limits=Limits(cpu_seconds=1.0)) as sandbox:
        verdict = sandbox.judge(program, entry_point="solve", inputs=[[3]], expected=[10])

`docs/sandbox.md` says what each backend protects from and what it does not.
"""

from rlenv.sandbox.core import Sandbox
from rlenv.sandbox.jobs import FunctionJob, ScriptJob
from rlenv.sandbox.limits import Limits
from rlenv.sandbox.verdict import RunResult, SandboxError, TestResult, Verdict

__all__ = [
    "FunctionJob",
    "Limits",
    "RunResult",
    "Sandbox",
    "SandboxError",
    "ScriptJob",
    "TestResult",
    "Verdict",
]
