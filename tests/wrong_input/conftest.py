"""What the cases of wrong input may name."""

import pytest

from tests.conftest import DIGITS
from tests.wrong_input.harness import Places
from tests.wrong_input.server import serve


@pytest.fixture(scope="session")
def places(finished_run):
    with serve() as address:
        yield Places(run=finished_run, digits=DIGITS, server=address)
