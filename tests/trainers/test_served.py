"""An engine with weights of its own gets those of each step, and its logprobs are corrected."""

import copy
import json
from dataclasses import replace

import pytest

from rlenv.engines.base import Engine
from rlenv.engines.native import NativeEngine
from rlenv.engines.settings import EngineSettings
from rlenv.run.stage import Context
from rlenv.trainers.rl import policy
from rlenv.trainers.rl.loop import Loop
from rlenv.trainers.rl.settings import OnPolicySettings, PPOSettings
from rlenv.trainers.rl.stage import GRPOStage, PPOStage

from .support import SETTINGS, Varied


class Served(Engine):
    """As a server would: a copy of the policy that changes when it is sent weights.

    off: how far its logprobs are from the policy's.
    """

    holds_weights = True
    off = 0.0
    pushed = 0

    def __init__(self, model, chat):
        self.model = copy.deepcopy(model)
        self.inner = NativeEngine(self.model, stop_ids=chat.stop_ids, tokenizer=chat.tokenizer)

    def update_weights(self, state):
        self.model.load_state_dict(state)
        type(self).pushed += 1

    def generate(self, requests, sampling):
        found = self.inner.generate(requests, sampling)
        return [replace(c, logprobs=[p - self.off for p in c.logprobs]) for c in found]


@pytest.fixture
def served(monkeypatch):
    def engine_for(model, chat, settings, *, pushes):
        assert pushes
        return Served(model, chat)

    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: Varied(split=split))
    monkeypatch.setattr(Served, "off", 0.0)
    monkeypatch.setattr(Served, "pushed", 0)
    monkeypatch.setattr(policy.checkpoint, "engine_for", engine_for)
    return Served


@pytest.mark.parametrize(
    "changes",
    [{}, {"lora": {"rank": 4}}, {"algorithm": "ppo", "group_size": 1, "critic": {"shared": True}}],
    ids=["all weights", "lora", "shared trunk"],
)
def test_it_samples_from_the_weights_of_the_step_before(served, context, changes):
    settings = OnPolicySettings(**{**SETTINGS.model_dump(exclude_unset=True), **changes})
    Loop(settings, context).run()
    lines = [json.loads(line) for line in (context.run.path / "metrics.jsonl").open()]
    assert len(lines) == SETTINGS.steps
    assert all(line["sampling/sampling_logp_difference/max"] < 1e-4 for line in lines)
    assert lines[-1]["kl"] > 1e-3, "the weights have moved"
    # before the first rollout, and before what comes after an update
    assert served.pushed == 1 + SETTINGS.steps


@pytest.mark.parametrize(
    ("off", "ratio"), [(0.5, 1.6487), (-0.5, 0.6065), (3.0, 2.0)], ids=["below", "above", "capped"]
)
def test_its_logprobs_are_corrected_by_default(served, context, monkeypatch, off, ratio):
    monkeypatch.setattr(served, "off", off)
    vllm = replace(context, engine=EngineSettings(kind="vllm"))
    GRPOStage(SETTINGS).run(vllm)
    for line in map(json.loads, (context.run.path / "metrics.jsonl").open()):
        measured = line["sampling/importance_sampling_ratio/mean"]
        assert measured == pytest.approx(ratio, rel=1e-3)
        difference = line["sampling/sampling_logp_difference/mean"]
        assert difference == pytest.approx(abs(off), rel=1e-3)
        assert line["clip_ratio/region_mean"] == 0, "the ratio of the loss is to the policy's own"


def test_tokens_that_it_gave_no_logprob_for_are_trained_on_uncorrected(
    served, context, monkeypatch
):
    monkeypatch.setattr(served, "off", float("nan"))
    settings = PPOSettings(
        **{**SETTINGS.model_dump(exclude_unset=True), "group_size": 1},
        kl={"coefficient": 0.1, "place": "reward"},
    )
    PPOStage(settings).run(replace(context, engine=EngineSettings(kind="vllm")))
    line = json.loads((context.run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["sampling/importance_sampling_ratio/mean"] == pytest.approx(1)
    assert line["grad_norm"] > 0
