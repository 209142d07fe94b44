"""A sandbox for untrusted Python programs whose verdicts can be trusted.

It knows nothing of the rest of rlenv and can be used without it::

    from sandbox import Limits, Sandbox

    with Sandbox(limits=Limits(cpu_seconds=1.0)) as sandbox:
        verdict = sandbox.judge(program, entry_point="solve", inputs=[[3]], expected=[10])

`docs/sandbox.md` says what each backend protects from and what it does not.
"""

from sandbox.core import Sandbox
from sandbox.jobs import FunctionJob, ScriptJob
from sandbox.limits import Limits
from sandbox.verdict import RunResult, SandboxError, TestResult, Verdict

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
