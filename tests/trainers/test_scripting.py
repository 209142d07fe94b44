"""What a loop of one's own is made of: a policy, rollouts, a batch, a loss, an evaluation."""

import math

import pytest
import torch

import rlenv
from rlenv import Group, Task, Trajectory
from rlenv.common.errors import RunFailed, UserError
from rlenv.core.reward import Reward
from rlenv.engines.base import Sampling
from rlenv.evaluation import LocalPlayer
from rlenv.evaluation import evaluate as evaluate_player
from rlenv.models import checkpoint
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.trainers.rl import group_normalised, policy_loss

from .support import Numbers, Varied


@pytest.fixture
def policy(finished_run):
    return rlenv.Policy.load(finished_run / "sft", learning_rate=1e-2, device="cpu")


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()])


def group(task, rewards):
    trajectories = [
        Trajectory(task, [5, 6, 7 + n, 2], [0, 0, 1, 1], [0, 0, -0.5, -0.1], [4], [0.0], reward)
        for n, reward in enumerate(rewards)
    ]
    return Group(task, trajectories)


FAILED = Reward.failed("no verdict")


def test_rewards_and_which_of_them_were_judged():
    a, b = Task("a"), Task("b")
    rewards, judged = rlenv.group_rewards(
        [group(a, [Reward(1.0), FAILED]), group(b, [Reward(0.25), Reward(-1.0)])]
    )
    assert rewards.tolist() == [[1.0, 0.0], [0.25, -1.0]]
    assert judged.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_a_batch_leaves_out_what_teaches_nothing():
    a, b, c = Task("a"), Task("b"), Task("c")
    groups = [
        group(a, [Reward(0.0), Reward(1.0), FAILED]),
        group(b, [Reward(1.0)] * 3),
        group(c, [Reward(1.0), Reward(0.0), Reward(0.0)]),
    ]
    silent = groups[2].trajectories[2]
    silent.token_ids, silent.loss_mask, silent.logprobs = [5, 6], [0, 0], [0.0, 0.0]
    advantages = group_normalised(*rlenv.group_rewards(groups))
    batch = rlenv.Batch.of_groups(groups, advantages)
    assert batch.input_ids[:, 2].tolist() == [7, 8, 7, 8]
    expected = [advantages[0, 0], advantages[0, 1], advantages[2, 0], advantages[2, 1]]
    for row, value in zip(batch.advantages, expected, strict=True):
        assert row.tolist() == [0.0, 0.0, pytest.approx(value), pytest.approx(value)]
    with pytest.raises(ValueError, match="no group holds a difference"):
        rlenv.Batch.of_groups(groups[1:2], advantages[1:2])


@pytest.mark.parametrize("algorithm", ["grpo", "dapo", "gspo", "rloo"])
def test_the_loss_of_an_algorithm_is_that_of_its_paper(algorithm):
    torch.manual_seed(0)
    rewards = torch.rand(3, 4)
    groups = [group(Task(f"{n}"), [Reward(float(r)) for r in row]) for n, row in enumerate(rewards)]
    batch = rlenv.Batch.of_groups(groups, rewards - rewards.mean(1, keepdim=True))
    logprobs = (batch.old_logprobs + 0.4 * torch.randn(12, 4)) * batch.mask
    found = policy_loss(logprobs, batch, algorithm=algorithm)
    low, high = {"grpo": (0.2, 0.2), "dapo": (0.2, 0.28), "gspo": (3e-4, 4e-4), "rloo": (1, 9)}[
        algorithm
    ]
    total = 0.0
    for row in range(12):
        new, old, adv = (
            t[row, 2:].double() for t in (logprobs, batch.old_logprobs, batch.advantages)
        )
        ratio = (new - old).exp()
        if algorithm == "gspo":
            ratio = (new - old).mean().exp().expand(2)
        gain = torch.minimum(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)
        if algorithm == "rloo":
            gain = 2 * new * adv  # a sum of two tokens, where the others take a mean
        total -= float(gain.mean()) / 12
    assert float(found) == pytest.approx(total, abs=1e-6)


def test_what_is_given_replaces_what_the_algorithm_sets():
    groups = [group(Task("a"), [Reward(0.0), Reward(1.0)])]
    batch = rlenv.Batch.of_groups(groups, torch.tensor([[-1.0, 1.0]]))
    logprobs = (batch.old_logprobs + 1.0) * batch.mask  # ratios of e
    # by default the gain of the second is cut off at 1.2, and the loss of the first is not
    assert float(policy_loss(logprobs, batch)) == pytest.approx((math.e - 1.2) / 2)
    wide = policy_loss(logprobs, batch, clip_high=1.0, aggregate="sum")
    assert float(wide) == pytest.approx(2 * (math.e - 2.0) / 2)
    divided = policy_loss(logprobs, batch, clip_high=1.0, aggregate="constant", max_tokens=8)
    assert float(divided) == pytest.approx(float(wide) / 8)
    with pytest.raises(UserError, match="Did you mean dapo"):
        policy_loss(logprobs, batch, algorithm="dap")


def test_a_rollout_is_what_a_stage_plays(policy):
    env = Numbers(split="train")
    tasks = env.tasks.sample_many(3, seed=1)
    groups = rlenv.rollout(policy, env, tasks, group_size=4, seed=5, max_tokens=6)
    expected = play(
        EnvPool(Numbers),
        policy.engine,
        policy.chat,
        tasks,
        samples=4,
        sampling=Sampling(max_tokens=6),
        seed=5,
        max_length=policy.max_length,
    )
    assert groups == expected
    other = rlenv.rollout(policy, env, tasks, group_size=4, seed=6, max_tokens=6)
    assert [t.token_ids for g in other for t in g.trajectories] != [
        t.token_ids for g in groups for t in g.trajectories
    ]


def test_logprobs_are_those_that_were_sampled_and_a_step_raises_what_was_better(policy):
    env = Varied(split="train")
    tasks = env.tasks.sample_many(4, seed=0)
    groups = rlenv.rollout(policy, env, tasks, group_size=6, seed=0, max_tokens=6)
    batch = rlenv.Batch.of_groups(groups, group_normalised(*rlenv.group_rewards(groups)))
    before = policy.logprobs(batch)
    assert torch.allclose(before.detach(), batch.old_logprobs, atol=1e-4)
    assert not before[batch.mask == 0].any()
    norm = policy.step(policy_loss(before, batch))
    assert norm > 0
    gained = ((policy.logprobs(batch) - before).detach() * batch.advantages).sum()
    assert gained > 0


def test_a_step_in_parts_is_a_step(finished_run):
    one, two = (
        rlenv.Policy.load(finished_run / "sft", learning_rate=1e-2, device="cpu") for _ in "ab"
    )
    env = Varied(split="train")
    groups = rlenv.rollout(
        one, env, env.tasks.sample_many(4, seed=0), group_size=4, seed=0, max_tokens=6
    )
    batch = rlenv.Batch.of_groups(groups, group_normalised(*rlenv.group_rewards(groups)))
    one.step(policy_loss(one.logprobs(batch), batch, aggregate="sum"), learning_rate=1e-3)
    for rows in torch.arange(len(batch)).split(5):
        part = batch.rows(rows)
        share = len(rows) / len(batch)
        (policy_loss(two.logprobs(part), part, aggregate="sum") * share).backward()
    two.step(learning_rate=1e-3)
    # AdamW's first step is about the rate, whatever the gradient: where that is 0 but for
    # rounding, the sign is a matter of luck
    close = (weights(one) - weights(two)).abs() < 1e-5
    assert close.float().mean() > 0.99


def test_a_gradient_that_is_not_finite_changes_nothing(policy):
    before = weights(policy)
    with pytest.raises(RunFailed, match="not finite"):
        policy.step(sum(p.sum() for p in policy.model.parameters()) * float("inf"))
    assert torch.equal(weights(policy), before)


def test_a_policy_is_saved_as_a_checkpoint(policy, tmp_path):
    policy.model.base_model.norm.weight.data *= 2
    policy.save(tmp_path / "saved")
    again, _ = checkpoint.load(str(tmp_path / "saved"), device="cpu")
    assert torch.equal(again.base_model.norm.weight, policy.model.base_model.norm.weight)


def test_settings_that_there_are_not(finished_run):
    with pytest.raises(UserError, match="Did you mean max_grad_norm"):
        rlenv.Policy.load(finished_run / "sft", max_grad_nrom=1.0)
    with pytest.raises(UserError, match="there is no such engine"):
        rlenv.Policy.load(finished_run / "sft", engine="fast")


def test_an_evaluation_is_that_of_the_command(policy):
    found = rlenv.evaluate(policy, Varied(split="test"), tasks=6, samples=2, max_tokens=4, seed=3)
    expected = evaluate_player(
        EnvPool(lambda: Varied(split="test")),
        LocalPlayer(policy.engine, policy.chat, policy.max_length),
        tasks=6,
        samples=2,
        sampling=Sampling(max_tokens=4),
        seed=3,
    )
    assert [s.reply for s in found.kept] == [s.reply for s in expected.kept]
    assert found.summary.estimates == expected.summary.estimates
    assert len(found.sampled) == 12
    assert len(found.greedy) == 6
