"""Models of every family train on what they sampled, over several turns too."""

import json
from dataclasses import replace

import pytest

import rlenv
from rlenv.models import checkpoint
from rlenv.run.stage import Context
from rlenv.trainers.rl.loop import Loop
from tests.rlenv.engine_models import model_of

from .support import SETTINGS, hash_of


class ThreeTurns(rlenv.TextEnv):
    """Goes on for three turns and rewards each of them differently."""

    def generate(self, rng):
        return rlenv.Task(f"{rng.randrange(1000)} + 1 = ?")

    def start(self, task):
        self.turns = 0

    def respond(self, task, reply):
        self.turns += 1
        if self.turns == 3:
            return rlenv.done(reward=hash_of(reply))
        return rlenv.turn(f"{self.turns} + 2 = ?", reward=hash_of(reply))


FAMILIES = ["qwen2", "qwen2-window", "qwen3", "gemma3", "gemma3-cap", "mistral", "gpt2"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_trains_on_what_it_sampled(context, monkeypatch, tmp_path, name):
    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: ThreeTurns(split=split))
    tokenizer = checkpoint.load_tokenizer(context.source)
    model = model_of(name, vocab_size=len(tokenizer))
    checkpoint.save(model, tokenizer, tmp_path / "model")
    source = replace(context, source=str(tmp_path / "model"))
    settings = SETTINGS.model_copy(update={"groups": 8, "group_size": 8, "temperature": 0.8})
    Loop(settings, source).run()
    lines = [json.loads(line) for line in (context.run.path / "metrics.jsonl").open()]
    assert max(line.get("turns", 1) for line in lines) > 1
    assert all(line["sampling/sampling_logp_difference/max"] < 1e-4 for line in lines)
    assert lines[-1]["kl"] > 1e-4, "it must learn"
