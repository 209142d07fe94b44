"""Held-out evaluation in training: how it samples, and the weights that it keeps."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

import rlenv
from rlenv.common.errors import UserError
from rlenv.core.reward import Reward
from rlenv.core.trajectory import Group
from rlenv.trainers.common.validation import BestCheckpoint, figures
from rlenv.trainers.rl import worker
from rlenv.trainers.rl.loop import Loop
from rlenv.trainers.rl.settings import OnPolicySettings

from . import forks
from .support import SETTINGS, trajectory


def groups(*rewards, truncated=False):
    played = [trajectory([1], [[2]], [r or 0.0], judged=r is not None) for r in rewards]
    for one in played:
        one.truncated = truncated
    return [Group(played[0].task, played)]


def test_what_can_not_be_judged_counts_neither_way():
    found = figures(groups(1.0, 0.5, None, 0.0), solved_at=1.0)
    assert found["held_out/reward"] == pytest.approx(0.5)
    assert found["held_out/solved"] == pytest.approx(1 / 3)
    assert found["held_out/grader_errors"] == pytest.approx(1 / 4)
    nothing = figures(groups(None), solved_at=1.0)
    assert math.isnan(nothing["held_out/reward"])
    assert "held_out/solved" not in nothing
    assert not Reward.failed("x").judged


def test_it_samples_its_own_way(context, monkeypatch):
    asked = []

    def recorded(pool, engine, chat, tasks, **kwargs):
        asked.append((tasks[0].split, kwargs["samples"], kwargs["sampling"]))
        return rlenv.rollouts.rollout.play(pool, engine, chat, tasks, **kwargs)

    monkeypatch.setattr(worker, "play", recorded)
    how = {"samples": 2, "temperature": 0.5, "top_p": 0.9}
    settings = {**SETTINGS.model_dump(exclude_unset=True), "steps": 1, "eval_sampling": how}
    Loop(OnPolicySettings.model_validate(settings), context).run()
    trained, held_out = asked
    assert trained[:2] == ("train", SETTINGS.group_size)
    assert held_out[:2] == ("validation", 2)
    assert (trained[2].temperature, held_out[2].temperature) == (1.0, 0.5)
    assert (held_out[2].top_p, held_out[2].max_tokens) == (0.9, SETTINGS.max_tokens)


@pytest.mark.parametrize("first", [3, 1])
def test_the_best_weights_survive_worse_ones_and_a_restart(tmp_path, first):
    best = BestCheckpoint(tmp_path / "state")
    assert best.step is None
    weights = {step: {"w": torch.full((2,), float(step))} for step in (1, 2, 3, 4)}
    for step, reward in {1: 0.2, 2: 0.5, 3: 0.5, 4: 0.1}.items():
        best.offer(step, {"held_out/reward": reward}, weights[step])
    assert best.step == 2  # the first of equal ones
    again = BestCheckpoint(tmp_path / "state")
    again.rewind(first)
    assert again.step == (2 if first >= 2 else None)
    again.offer(4, {"held_out/reward": 0.4}, weights[4])
    assert torch.equal(again.load()["w"], weights[2 if first >= 2 else 4]["w"])
    assert not again.offer(5, {"held_out/reward": float("nan")}, weights[1])


@pytest.mark.parametrize("metric", ["held_out/reward", "held_out/rewards/rule"])
def test_where_nothing_could_be_judged_there_is_no_best(tmp_path, metric):
    best = BestCheckpoint(tmp_path / "state", metric)
    assert not best.offer(1, {"held_out/reward": float("nan")}, {"w": torch.zeros(1)})
    assert best.load() is None
    assert "the last weights" in best.summary("grpo")
    best.write_metadata(tmp_path)
    assert not (tmp_path / "kept.json").exists()


STAGES = {
    "grpo": (
        "steps: STEPS, groups: 8, group_size: 8, learning_rate: 0.2, warmup_steps: 0, "
        "max_tokens: 4, eval_tasks: 60, eval_every: 1"
    ),
    "sft": (
        "demonstrations: ROWS, batch_size: 8, learning_rate: 0.2, schedule: constant, "
        "warmup_steps: 0, max_tokens: 4, eval_tasks: 60, eval_every: 1"
    ),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_leaves_the_weights_that_did_best(finished_run, tmp_path, stage):
    """A rate that ruins the policy: an early step does best, and its weights are what is left."""
    digits = finished_run.parent / "miniature.yaml"
    env = next(x for x in digits.read_text().splitlines() if x.startswith("env:"))

    def trained(name, keep_best):
        settings = STAGES[stage].replace("STEPS", "6").replace("ROWS", "48")
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"seed: 0\nrun_dir: {tmp_path / name}\n{env}\nmodel: {finished_run}/sft\nthreads: 1\n"
            f"stages: {{{stage}: {{{settings}, save_every: 1, keep_best: {keep_best}}}}}\n"
        )
        assert forks.finish(forks.train([path])) == 0
        logged = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
        found = {m["step"]: m["held_out/reward"] for m in logged if "held_out/reward" in m}
        return load_file(tmp_path / name / stage / "model.safetensors"), found

    kept, rewards = trained("kept", "true")
    last, same = trained("last", "false")
    assert rewards == same
    best = max(rewards, key=lambda step: (rewards[step], -step))
    assert best < 6, "the rate should have ruined the policy"
    record = json.loads((tmp_path / "kept" / stage / "kept.json").read_text())
    assert record == {"step": best, "held_out/reward": rewards[best]}
    assert any(not torch.equal(kept[name], last[name]) for name in kept)
    assert not (tmp_path / "last" / stage / "kept.json").exists()


def trained_with(context, **changes):
    settings = {**SETTINGS.model_dump(exclude_unset=True), "steps": 6, "eval_every": 100, **changes}
    loop = Loop(OnPolicySettings.model_validate(settings), context)
    loop.run()
    logged = list(context.run.read_log("metrics"))
    return logged, [record["text"] for record in context.run.read_log("warnings")], loop


def test_an_alarm_may_end_the_stage(context):
    ruinous = {"learning_rate": 0.5, "warmup_steps": 0}  # no reply ends any more
    logged, warnings, _ = trained_with(context, **ruinous, alarms={"truncated": "stop"})
    assert len(logged) < 6
    assert "the stage ends here: truncated" in warnings[-1]
    assert (context.out / "model.safetensors").exists()


def test_an_alarm_may_raise_what_the_divergence_costs(context):
    logged, warnings, loop = trained_with(
        context,
        learning_rate=0.5,
        warmup_steps=0,
        alarms={"truncated": "raise"},
        kl={"coefficient": 0.01},
    )
    assert len(logged) == 6
    assert "the KL now costs 0.02" in warnings
    assert loop.learner.kl.value == 0.02


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"alarms": {"klm": "stop"}}, "Did you mean kl?"),
        ({"alarms": {"kl": "raise"}}, "kl.coefficient must be above 0"),
        ({"alarms": {"gold": "stop"}}, "needs gold_component"),
    ],
)
def test_alarms_that_can_not_be_acted_on_are_refused(changes, says):
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        OnPolicySettings.model_validate({"steps": 1, **changes})


@pytest.mark.parametrize("setting", ["gold_component", "keep_best"])
def test_a_component_that_is_not_measured_is_named(context, setting):
    with pytest.raises(UserError, match=f"{setting} names 'rule', but the components"):
        trained_with(context, **{setting: "rule"})
