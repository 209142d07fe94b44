"""A whole stage, from sampling to the saved checkpoint, against plain steps on what it sampled."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from rlenv.core.reward import Reward
from rlenv.rollouts import rollout
from rlenv.run.stage import Context
from rlenv.trainers.rl import worker

from ..support import Numbers, hash_of
from .conftest import Trained
from .episodes import seen
from .plain import ALGORITHMS, PlainTrainer, Recipe, ValueFunction

SIZES = {"groups": 6, "group_size": 4, "max_tokens": 5, "eval_every": 2, "eval_tasks": 4}
# of the highest learning rate
SCHEDULES = {
    "constant": (0, [1, 1, 1, 1, 1]),
    "linear": (0, [1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),
    "linear, after a warmup": (2, [1 / 3, 2 / 3, 3 / 5, 2 / 5, 1 / 5]),
    "constant, after a warmup": (3, [1 / 4, 2 / 4, 3 / 4, 1, 1]),
}


class Moody(Numbers):
    """Rewards each reply differently, and fails on some."""

    def score(self, task, reply):
        luck = hash_of(reply + task.question)
        if luck < 0.1:
            return Reward.failed("no verdict")
        return round(luck, 1)


@pytest.mark.parametrize(
    ("algorithm", "schedule"),
    [*(("grpo", schedule) for schedule in SCHEDULES), ("ppo", "linear, after a warmup")],
)
def test_a_stage_leaves_what_plain_steps_on_its_rollouts_leave(
    context, source, monkeypatch, algorithm, schedule
):
    monkeypatch.setattr(Context, "make_env", lambda self, split, **_: Moody(split=split))
    warmup, rates = SCHEDULES[schedule]
    values = {
        "algorithm": algorithm,
        "steps": len(rates),
        "schedule": schedule.split(",")[0],
        "warmup_steps": warmup,
        "learning_rate": 2e-3,
        "group_size": 1 if algorithm == "ppo" else 4,
        "groups": 24 if algorithm == "ppo" else 6,
        "kl": {"coefficient": 0.05},
        "max_grader_errors": 0.5,
    }
    trained = Trained(context, source, {**SIZES, **values})
    recipe = Recipe(
        **ALGORITHMS[algorithm],
        max_tokens=5,
        learning_rate=2e-3,
        rates=rates,
        beta=0.05,
        epochs=2 if algorithm == "ppo" else 1,
        critic=ValueFunction() if algorithm == "ppo" else None,
    )
    plain = PlainTrainer(recipe, trained.policy, trained.reference, trained.trunk, trained.head)

    def recorded(pool, engine, chat, tasks, **kwargs):
        groups = rollout.play(pool, engine, chat, tasks, **kwargs)
        if {task.split for task in tasks} == {"train"}:
            trained.played.append([[seen(t) for t in group.trajectories] for group in groups])
        return groups

    monkeypatch.setattr(worker, "play", recorded)
    with trained.recorded():
        trained.loop.run()
    for number, groups in enumerate(trained.played):
        plain.step(number, groups)
    assert any(not e.judged for groups in trained.played for group in groups for e in group)
    passes = len(trained.rates) // len(rates)
    by_step = [rate["policy.model.norm.weight"] for rate in trained.rates][::passes]
    assert by_step == pytest.approx([2e-3 * rate for rate in rates])
    if trained.trunk is not None:
        assert [rate["trunk.norm.weight"] for rate in trained.rates][::passes] == by_step
    logged = [json.loads(line) for line in (context.run.path / "metrics.jsonl").open()]
    assert [line["step"] for line in logged if "held_out/reward" in line] == [1, 2, 4, 5]
    saved = AutoModelForCausalLM.from_pretrained(context.out, dtype=torch.float32)
    expected = dict(plain.policy.named_parameters())
    for name, weight in saved.named_parameters():
        apart = (weight - expected[name]).detach().abs()
        assert float(apart.max()) < 0.2 * 2e-3, name
        assert float(apart.mean()) < 2e-3 * 2e-3, name
