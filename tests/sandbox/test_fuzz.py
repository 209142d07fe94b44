"""Programs made at random never look like a failure of the sandbox."""

import fuzz
import pytest
from conftest import JAILED, open_sandbox

backends = pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=pytest.mark.docker) if b == "docker" else b for b in JAILED]
)


@backends
def test_no_program_ends_in_infrastructure(backend):
    judge(backend, 200)


@pytest.mark.slow
@backends
def test_no_program_of_ten_thousand_ends_in_infrastructure(backend):
    judge(backend, 10_000)


def judge(backend, count):
    with open_sandbox(backend, limits=fuzz.LIMITS) as sandbox:
        counted, wrong = fuzz.outcomes(sandbox, range(count))
    assert not wrong
    assert sum(counted.values()) == count
    assert {"fail", "error", "timeout"} <= set(counted), counted  # they fail in many ways
