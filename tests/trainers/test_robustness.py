"""What goes wrong costs what it must and no more, and the run says so."""

import json

import pytest
import torch

from rlenv.common.errors import RunFailed
from rlenv.run.stage import Context
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.loop import Loop
from rlenv.trainers.rl.settings import OnPolicySettings

from .support import SETTINGS, Numbers, Varied, hash_of


def settings(**changes):
    return OnPolicySettings(**{**SETTINGS.model_dump(exclude_unset=True), **changes})


class SometimesEqual(Numbers):
    """Half of the tasks reward nothing; the others, every reply differently."""

    def score(self, task, reply):
        return 0.0 if task.metadata["luck"] < 0.5 else hash_of(reply)


class Crashing(Numbers):
    """Breaks down in every tenth episode or so, in the middle of a step."""

    def score(self, task, reply):
        if hash_of(reply) < 0.1:
            raise ZeroDivisionError("the environment fell over")
        return hash_of(reply)


@pytest.fixture
def loop(context, monkeypatch):
    def made(env, **changes):
        monkeypatch.setattr(Context, "make_env", lambda self, split, **_: env(split=split))
        return Loop(settings(**changes), context)

    return made


def test_groups_of_equal_rewards_are_counted_and_left_out(loop):
    metrics, _ = loop(SometimesEqual, groups=20).step(0, with_reference_kl=False)
    assert 0.2 < metrics["frac_reward_zero_std"] < 0.8
    assert metrics["groups/trained"] == pytest.approx(20 * (1 - metrics["frac_reward_zero_std"]))
    assert metrics["groups/refills"] == 0


def test_groups_of_equal_rewards_are_refilled_up_to_the_limit(loop):
    filled, _ = loop(SometimesEqual, groups=10, max_refills=20).step(0, with_reference_kl=False)
    assert filled["groups/trained"] == 10
    assert 1 <= filled["groups/refills"] < 20
    short, _ = loop(SometimesEqual, groups=10, max_refills=1).step(0, with_reference_kl=False)
    assert short["groups/refills"] == 1
    assert short["groups/trained"] < filled["groups/trained"]


def test_a_critic_needs_no_difference_within_a_group(loop):
    varied, _ = loop(Varied, algorithm="ppo", group_size=1).step(0, with_reference_kl=False)
    assert varied["frac_reward_zero_std"] == 0
    assert varied["groups/trained"] == SETTINGS.groups
    equal, _ = loop(Numbers, algorithm="ppo", group_size=1).step(0, with_reference_kl=False)
    assert equal["frac_reward_zero_std"] == 1


def test_a_step_without_a_difference_changes_nothing(loop):
    made = loop(Numbers, max_refills=2)
    before = {k: v.clone() for k, v in made.policy.model.state_dict().items()}
    metrics, _ = made.step(0, with_reference_kl=True)
    assert metrics["groups/trained"] == 0
    assert metrics["groups/refills"] == 2
    after = made.policy.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_failed_environment_costs_its_rollout_and_not_the_step(loop):
    metrics, _ = loop(Crashing, groups=20, max_grader_errors=0.5).step(0, with_reference_kl=False)
    assert 0 < metrics["grader_errors"] < 0.4
    assert metrics["groups/trained"] == 20


def test_an_exploding_loss_stops_the_run_and_keeps_the_batch(loop, context):
    algorithms.loss("exploding")(lambda x: x.logprobs * x.advantages * float("inf"))
    with pytest.raises(RunFailed, match=r"loss is (nan|-?inf) at step 1.*learning_rate") as failed:
        loop(SometimesEqual, algorithm="exploding").run()
    (kept,) = (context.run.path / "failed").iterdir()
    assert str(kept) in str(failed.value)
    batch = torch.load(kept, weights_only=True)
    assert batch["input_ids"].shape == batch["advantages"].shape
    assert batch["advantages"].abs().max() > 0


def test_a_run_that_learns_nothing_says_so_in_words(loop, context, capsys):
    loop(Numbers, steps=4).run()
    warnings = [json.loads(line) for line in (context.run.path / "warnings.jsonl").open()]
    (told,) = [w for w in warnings if "all rewards of every group are equal" in w["text"]]
    assert (told["stage"], told["step"]) == ("grpo", 3)
    assert "all rewards of every group are equal" in capsys.readouterr().out


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.3])
def test_the_engines_logprobs_are_the_trainers(loop, temperature):
    metrics, _ = loop(SometimesEqual, temperature=temperature).step(0, with_reference_kl=True)
    assert metrics["sampling/sampling_logp_difference/max"] < 1e-4
    assert metrics["kl"] == pytest.approx(0, abs=1e-6)
