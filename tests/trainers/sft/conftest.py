"""A base model with a byte-level vocabulary, which any text can be tuned on."""

import json
from contextlib import contextmanager

import pytest
import torch

from rlenv.common.signals import StopSignal
from rlenv.models import checkpoint, presets
from rlenv.models.tokenizer import byte_tokenizer


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The folder of an untrained nano model with 256 byte tokens, of 128 tokens at most."""
    folder = tmp_path_factory.mktemp("base") / "model"
    tokenizer = byte_tokenizer(["what is it"], vocabulary=256, max_length=128)
    torch.manual_seed(0)
    model = presets.build("nano", vocabulary=len(tokenizer), max_length=128, tokenizer=tokenizer)
    checkpoint.save(model, tokenizer, folder)
    return folder


@pytest.fixture
def stopped(monkeypatch):
    """Asks a run to stop, at its nth look for a signal, within a `with`."""

    @contextmanager
    def after(looks):
        asked = iter(range(10**6))
        requested = property(lambda self: next(asked) >= looks, lambda self, value: None)
        with monkeypatch.context() as patch:
            patch.setattr(StopSignal, "requested", requested, raising=False)
            yield

    return after


@pytest.fixture
def write(tmp_path):
    """Writes rows as JSON Lines and returns the path."""

    def written(rows, name="data.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return written
