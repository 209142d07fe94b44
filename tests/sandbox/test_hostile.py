"""Every hostile program gets an allowed verdict and does no harm, on every jailed backend."""

import pytest
from support import GOOD, HOSTILE, ROOT, TASK, allowed, load_hostile

ALL = load_hostile(HOSTILE) if HOSTILE.is_dir() else []
OURS = load_hostile(ROOT / "tests" / "sandbox" / "hostile")


@pytest.mark.skipif(not ALL, reason=f"the hostile programs are not at {HOSTILE}")
@pytest.mark.parametrize(
    ("source", "expect", "checks"), ALL or [pytest.param("", [], [], id="none")]
)
def test_shared_program(jailed, host, source, expect, checks):
    judge(jailed, host, source, expect, checks)


@pytest.mark.parametrize(("source", "expect", "checks"), OURS)
def test_our_program(jailed, host, source, expect, checks):
    judge(jailed, host, source, expect, checks)


def judge(sandbox, host, source, expect, checks):
    verdict = sandbox.judge(source, **TASK)
    assert verdict.status in allowed(expect), verdict
    assert verdict.attempts == 1  # a program must not be able to look like a broken machine
    assert len(verdict.tests) == len(TASK["inputs"])
    for check in checks:
        if check.startswith("wall<="):
            assert verdict.wall_seconds <= float(check[6:])
    host.check(verdict, sandbox)
    assert sandbox.judge(GOOD, **TASK).passed
