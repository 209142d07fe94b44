import json
from types import SimpleNamespace

import pytest
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState

import rlenv
from rlenv.common.errors import HeldOutError, RunFailed, UserError
from rlenv.common.settings import parse
from rlenv.core.task import place_in_split
from rlenv.rollouts.demonstrations import demonstrate
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Context
from rlenv.trainers.rl import advantages, worker
from rlenv.trainers.rl.loop import Loop, check_sharding
from rlenv.trainers.rl.policy import Policy
from rlenv.trainers.rl.settings import OnPolicySettings
from rlenv.trainers.sft import demonstrations
from rlenv.trainers.sft.validation import PolicyEvaluator

from .support import SETTINGS, Varied


def test_rollouts_play_training_tasks_and_held_out_scores_come_from_validation(
    context, monkeypatch
):
    played = {}

    def recorded(pool, engine, chat, tasks, **kwargs):
        split = "train" if kwargs["samples"] > 1 else "held out"
        played.setdefault(split, []).extend(tasks)
        return rlenv.rollouts.rollout.play(pool, engine, chat, tasks, **kwargs)

    monkeypatch.setattr(worker, "play", recorded)
    Loop(SETTINGS, context).run()
    assert len(played["train"]) == SETTINGS.steps * SETTINGS.groups
    assert {task.split for task in played["train"]} == {"train"}
    assert {task.split for task in played["held out"]} == {"validation"}


def test_rollouts_play_the_part_that_demonstrations_left_out(context, monkeypatch):
    played = []

    def recorded(pool, engine, chat, tasks, **kwargs):
        if kwargs["samples"] > 1:
            played.extend(task.key for task in tasks)
        return rlenv.rollouts.rollout.play(pool, engine, chat, tasks, **kwargs)

    monkeypatch.setattr(worker, "play", recorded)
    loop = Loop(SETTINGS.model_copy(update={"task_range": (0.5, 1.0), "groups": 12}), context)
    for step in range(3):
        loop.step(step, with_reference_kl=False)
    assert min(map(place_in_split, played)) >= 0.5
    assert len(set(played)) > 10

    env, shown = context.make_env("train"), []
    monkeypatch.setattr(
        demonstrations,
        "demonstrate",
        lambda env, task, **kwargs: shown.append(task.key) or demonstrate(env, task, **kwargs),
    )
    chat = loop.policy.chat
    demonstrations.demonstrations(env, chat, 30, seed=0, task_range=(0.0, 0.5))
    assert max(map(place_in_split, shown)) < 0.5


def test_the_precision_of_an_earlier_stage_ends_with_it(context):
    """In one process or resumed in another, a stage computes alike."""
    AcceleratorState._reset_state()
    Accelerator(mixed_precision="bf16", cpu=True)  # what the trainer of an SFT stage leaves
    loop = Loop(SETTINGS, context)
    metrics, _ = loop.step(0, with_reference_kl=False)
    assert metrics["sampling/sampling_logp_difference/max"] < 1e-3


def test_a_clip_of_rewards_reaches_what_is_trained_on(context):
    """Between limits that all rewards lie under, groups differ in nothing."""
    loop = Loop(SETTINGS, context)
    groups = loop.worker.collect(0, loop.advantages.has_signal).groups
    assert loop.advantages.estimate(groups, with_reference_kl=False).batch is not None
    above = SETTINGS.model_copy(update={"reward_clip": (5.0, 6.0)})
    clipped = advantages.AdvantageEstimator(above, loop.learner, loop.policy.pad)
    assert clipped.estimate(groups, with_reference_kl=False).batch is None
    assert not clipped.has_signal(groups).any()


def test_a_clip_that_leaves_nothing_is_refused():
    with pytest.raises(UserError, match="low below high"):
        parse(OnPolicySettings, {"steps": 1, "reward_clip": [0.3, 0.3]}, "test", "")


@pytest.mark.parametrize("ends", [(0.5, 0.5), (0.6, 0.4), (-0.1, 1.0), (0.0, 1.5)])
def test_a_range_of_no_tasks_is_refused(ends):
    with pytest.raises(UserError, match="task_range: two rising numbers from 0 to 1"):
        parse(OnPolicySettings, {"steps": 1, "task_range": list(ends)}, "test", "")


def test_sft_scores_validation_tasks(context):
    from rlenv.models import checkpoint

    model, tokenizer = checkpoint.load(context.source, device="cpu")
    chat = rlenv.models.chat_format.ChatFormat(tokenizer)
    held_out = PolicyEvaluator(context, model, chat, tasks=20, max_tokens=8)
    assert {task.split for task in held_out.tasks} == {"validation"}


def test_a_held_out_environment_is_refused(context, monkeypatch):
    monkeypatch.setattr(
        Context, "make_env", lambda self, split, **_: rlenv.make(self.env.id, split="test")
    )
    with pytest.raises(HeldOutError):
        Loop(SETTINGS, context)


class Flaky(rlenv.SingleTurnEnv):
    """Its grader fails on some tasks."""

    share = 0.3

    def generate(self, rng):
        return rlenv.Task(f"{rng.randrange(100)} + 1 = ?", metadata={"luck": rng.random()})

    def score(self, task, reply):
        if task.metadata["luck"] < self.share:
            raise TimeoutError("the judge did not answer")
        return float(len(reply) % 2)


def test_unjudged_rollouts_are_counted_and_leave_the_batch(context, monkeypatch):
    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: Flaky(split=split))
    loop = Loop(SETTINGS.model_copy(update={"max_grader_errors": 1.0, "groups": 12}), context)
    seen = []
    real = advantages.Batch.of

    def recorded(trajectories, *args, **kwargs):
        seen.extend(trajectories)
        return real(trajectories, *args, **kwargs)

    monkeypatch.setattr(advantages.Batch, "of", recorded)
    metrics, _ = loop.step(0, with_reference_kl=True)
    assert 0 < metrics["grader_errors"] < 1
    assert 0 < len(seen) <= 48 * (1 - metrics["grader_errors"])
    assert all(t.reward.judged for t in seen)


def test_too_many_unjudged_rollouts_stop_the_run(context, monkeypatch):
    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: Flaky(split=split))
    monkeypatch.setattr(Flaky, "share", 0.9)
    loop = Loop(SETTINGS.model_copy(update={"groups": 12}), context)
    with pytest.raises(RunFailed, match="the judge did not answer"):
        loop.step(0, with_reference_kl=False)


def test_sampled_episodes_are_kept_with_reward_and_advantages(context, monkeypatch):
    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: Varied(split=split))
    Loop(SETTINGS, context).run()
    lines = [json.loads(line) for line in (context.run.path / "episodes.jsonl").open()]
    assert {line["step"] for line in lines} == {1, 2, 3}
    for line in lines:
        assert {"prompt", "reply", "reward", "components", "status", "task_key"} <= set(line)
        assert len(line["advantages"]) == len(line["turn_rewards"]) == 1
    assert {line["advantages"][0] > 0 for line in lines} == {True, False}


@pytest.mark.parametrize(
    ("stage", "plugin", "says"),
    [
        ("grpo", None, "engine: vllm"),
        ("grpo", 3, "engine: vllm"),
        ("ppo", 2, "critic.shared: true"),
        ("grpo", 2, None),
    ],
)
def test_what_sharded_weights_do_not_allow(context, stage, plugin, says):
    sharded = SimpleNamespace(
        distributed_type=DistributedType.DEEPSPEED if plugin else DistributedType.FSDP,
        state=SimpleNamespace(
            deepspeed_plugin=SimpleNamespace(zero_stage=plugin) if plugin else None
        ),
    )
    policy = Policy(context.source, OnPolicySettings(algorithm=stage, steps=1), "cpu", 0)
    if says is None:
        check_sharding(sharded, policy)
    else:
        with pytest.raises(UserError, match=says):
            check_sharding(sharded, policy)


def test_the_environment_needs_no_registration_for_its_options():
    assert EnvSettings(id="rlenv/Arithmetic-v0", level=3).options == {"level": 3}
