"""What a run shows while it works."""

import io

import pytest
from rich.console import Console

from rlenv.common import display as module
from rlenv.common.display import Display


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_preparation_tells_how_long_it_will_take(clock):
    out = io.StringIO()
    display = Display(Console(file=out, width=100))
    display.begin("sft", 10)
    for done in (100, 200, 300, 400):
        clock[0] += 3
        display.prepare("demonstrations", done, 1200)
    # a line every five seconds: after 200 in 6 s, and 400 in 12 s
    assert out.getvalue().splitlines() == [
        "sft       demonstrations 200/1,200  0:30 left",
        "sft       demonstrations 400/1,200  0:24 left",
    ]
    clock[0] += 100
    display.update(1, {"loss": 2.0})  # what came before the first step does not count
    clock[0] += 6
    display.update(2, {"loss": 1.0})
    assert "step 2/10  0:48 left   loss 1.000" in out.getvalue()
