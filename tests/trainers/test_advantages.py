"""Advantages: GAE, whitening and turns against brute force."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.core.trajectory import Group
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.advantages import (
    critic_advantages,
    group_advantages,
    has_signal,
    overlong_penalties,
    rewards_to_go,
    turn_rewards,
)
from rlenv.trainers.rl.algorithms.ppo import gae, value_loss, whitened
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.critic import explained_variance
from rlenv.trainers.rl.settings import CriticSettings, OverlongSettings

from .support import trajectory

NUMBER = st.floats(-5, 5, width=32)
# of each column of an episode: its reward, its value, and whether the policy acted there
EPISODE = st.lists(st.tuples(NUMBER, NUMBER, st.booleans()), min_size=1, max_size=7)


def gae_by_definition(rewards, values, gamma, lam):
    """A_t = sum over l of (gamma lam)^l delta_(t+l), over the actions of one episode."""
    following = [*values, 0.0][1:]
    deltas = [r + gamma * n - v for r, v, n in zip(rewards, values, following, strict=True)]
    return [
        sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas)))
        for t in range(len(deltas))
    ]


@settings(deadline=None, max_examples=60)
@given(EPISODE, st.floats(0.5, 1), st.floats(0, 1))
def test_gae_against_its_definition(episode, gamma, lam):
    """Columns that are off the mask are as if they were not there, whatever they hold."""
    rewards, values, on = (torch.tensor([column]) for column in zip(*episode, strict=True))
    found = gae(rewards.float(), values.float(), on.float(), gamma, lam)[0]
    acted = [(r, v) for r, v, acts in episode if acts]
    expected = gae_by_definition([r for r, _ in acted], [v for _, v in acted], gamma, lam)
    assert found[on[0]].tolist() == pytest.approx(expected, abs=1e-3, rel=1e-4)
    assert torch.all(found[~on[0]] == 0)


def test_lambda_1_is_what_was_earned_and_lambda_0_one_step_ahead():
    rewards, values = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.2, 0.5, 0.7]])
    on = torch.ones(1, 3)
    earned = gae(rewards, values, on, 1.0, 1.0)
    assert earned[0].tolist() == pytest.approx([0.8, 0.5, 0.3])
    ahead = gae(rewards, values, on, 1.0, 0.0)
    assert ahead[0].tolist() == pytest.approx([0.3, 0.2, 0.3])


@settings(deadline=None, max_examples=40)
@given(EPISODE.filter(lambda e: sum(on for *_, on in e) > 1))
def test_whitening_against_brute_force(episode):
    values, _, on = (torch.tensor([column]) for column in zip(*episode, strict=True))
    found = whitened(values.double(), on.double())[0]
    counted = values[on].double()
    expected = (counted - counted.mean()) / (counted.var() + 1e-8).sqrt()
    assert torch.allclose(found[on[0]], expected, atol=1e-6)
    assert torch.all(found[~on[0]] == 0)


def test_whitening_one_action_or_none_gives_nothing_to_learn_from():
    values = torch.tensor([[3.0, 5.0]])
    assert whitened(values, torch.tensor([[1.0, 0.0]])).tolist() == [[0, 0]]
    assert whitened(values, torch.zeros(1, 2)).tolist() == [[0, 0]]


def test_the_variance_that_values_explain():
    values = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    asked = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert explained_variance(values, values, asked) == 1
    assert explained_variance(values, values + 5, asked) == 1
    assert explained_variance(torch.ones(2, 3), values, asked) == 0
    # what is left has the variance of (0, 0, 1, 1), of that of (1, 2, 3, 4)
    off = values - torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    assert explained_variance(off, values, asked) == pytest.approx(1 - 0.25 / 1.25)
    assert explained_variance(values, torch.ones(2, 3), asked) == 0


def test_one_turn_that_differs_is_a_signal():
    grid = torch.tensor([[[1.0, 0.0], [1.0, 2.0]], [[1.0, 0.0], [1.0, 0.0]]])
    assert has_signal(grid, torch.ones(2, 2, 2)).tolist() == [True, False]
    # what was not played shows no difference
    unplayed = torch.ones(2, 2, 2)
    unplayed[0, 1, 1] = 0
    assert has_signal(grid, unplayed).tolist() == [False, False]


def test_rows_of_a_batch_have_the_columns_that_they_need():
    rows = [trajectory([1, 2], [[3] * n]) for n in (1, 4, 2)]
    rows[2].token_ids += [7, 7]
    rows[2].loss_mask += [0, 0]
    rows[2].logprobs += [0.0, 0.0]
    batch = Batch.of(rows, torch.tensor([1.0, 2.0, 3.0]))
    assert batch.input_ids.shape == (3, 6)
    some = batch.rows(torch.tensor([2, 0]))
    assert some.input_ids.tolist() == [[1, 2, 3, 3], [1, 2, 3, 0]]
    assert some.mask.tolist() == [[0, 0, 1, 1], [0, 0, 1, 0]]
    assert some.advantages.tolist() == [[0, 0, 3, 3], [0, 0, 1, 0]]
    assert some.prompts.tolist() == [[0, 2], [0, 2]]


def test_the_value_loss_takes_the_worse_of_clipped_and_not():
    new, old, returns = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]), torch.tensor([2.0, 0.5])
    # 1.0 is clipped to 0.2: worse for the first, which should have gone further, not the second
    found = value_loss(new, old, returns, clip=0.2)
    assert found.tolist() == pytest.approx([0.5 * 1.8**2, 0.5 * 0.5**2])
    assert value_loss(new, old, returns, clip=None).tolist() == pytest.approx([0.5, 0.125])


def two_turns():
    """A group: one is rewarded in its first turn, one in its second, one has no second turn."""
    return Group(
        trajectory([1], [[2]]).task,
        [
            trajectory([1], [[2, 3], [4]], [1.0, 0.0]),
            trajectory([1], [[2], [3, 4]], [0.0, 1.0]),
            trajectory([1], [[5]], [0.0]),
        ],
    )


def test_a_turns_reward_reaches_the_turns_before_it_and_not_those_after():
    rewards, played = turn_rewards([two_turns()], by_turn=True)
    assert rewards.tolist() == [[[1, 0], [0, 1], [0, 0]]]
    assert played.tolist() == [[[1, 1], [1, 1], [1, 0]]]
    to_go = rewards_to_go(rewards, gamma=0.5)
    assert to_go.tolist() == [[[1, 0], [0.5, 1], [0, 0]]]
    centred = algorithms.find("dr_grpo").advantages
    found = group_advantages(centred, to_go, played)
    assert found[0, :, 0].tolist() == pytest.approx([0.5, 0.0, -0.5])
    # the second turns of the two that had one are compared with each other alone
    assert found[0, :, 1].tolist() == pytest.approx([-0.5, 0.5, 0.0])
    batch = Batch.of(two_turns().trajectories, found[0])
    first, second = batch.advantages[0].tolist(), batch.advantages[1].tolist()
    assert first == pytest.approx([0, 0.5, 0.5, 0, -0.5])
    assert second == pytest.approx([0, 0.0, 0, 0.5, 0.5])


def test_a_clipped_reward_counts_for_no_more_and_a_turn_may_be_judged_alone():
    rewards, played = turn_rewards([two_turns()], by_turn=True, clip=(0.1, 0.4))
    # what was not played has no reward, whatever the least is
    assert rewards[0].flatten().tolist() == pytest.approx([0.4, 0.1, 0.1, 0.4, 0.1, 0.0])
    assert rewards_to_go(rewards, gamma=0.0).tolist() == rewards.tolist()
    whole, _ = turn_rewards([two_turns()], by_turn=False, clip=(0.1, 0.4))
    assert whole.flatten().tolist() == pytest.approx([0.4, 0.4, 0.1])
    unclipped, same = turn_rewards([two_turns()], by_turn=True)
    assert unclipped.max() == 1
    assert torch.equal(same, played)


def test_by_episode_every_turn_gets_the_total():
    rewards, played = turn_rewards([two_turns()], by_turn=False)
    assert rewards.tolist() == [[[1], [1], [0]]]
    found = group_advantages(algorithms.find("dr_grpo").advantages, rewards, played)
    batch = Batch.of(two_turns().trajectories, found[0])
    assert batch.advantages[0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("by_turn", [True, False])
@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "reinforce_pp", "maxrl"])
def test_an_unjudged_rollout_moves_no_other(name, by_turn):
    """Its reward is no number."""
    judged = [trajectory([1], [[2]], [r]) for r in (1.0, 0.0, 0.5)]
    failed = trajectory([1], [[2]], [7.0], judged=False)
    task = judged[0].task
    function = algorithms.find(name).advantages
    with_it, without = (
        group_advantages(function, *turn_rewards([Group(task, rows)], by_turn))
        for rows in ([*judged, failed], judged)
    )
    assert with_it[0, :3].tolist() == without[0].tolist()
    assert with_it[0, 3].tolist() == [0]


def test_a_group_has_a_signal_where_its_rollouts_fared_differently():
    alike = Group(two_turns().task, [trajectory([1], [[2]], [0.3]) for _ in range(3)])
    unjudged = Group(
        two_turns().task,
        [trajectory([1], [[2]], [r], judged=r < 0.5) for r in (0.3, 0.9, 0.3)],
    )
    grids = turn_rewards([two_turns(), alike, unjudged], by_turn=True)
    assert has_signal(*grids).tolist() == [True, False, False]


@pytest.mark.parametrize("unit", ["token", "turn"])
def test_what_a_critic_sees_of_two_turns(unit):
    """By the token or by the turn, against GAE over a list of actions."""
    batch = Batch.of([trajectory([1], [[2, 3], [4, 5]], [1.0, 2.0], said=[[9]])])
    values = torch.arange(1.0, 7).mul(0.1)[None] * batch.mask
    costs = 0.01 * batch.mask
    made = critic_advantages(
        replace(batch, values=values),
        torch.tensor([[1.0, 2.0]]),
        costs,
        gae,
        0.9,
        CriticSettings(unit=unit, gae_lambda=0.8, whiten=False),
    )
    at = [1, 2, 4, 5] if unit == "token" else [1, 4]
    earned = [-0.01, 0.99, -0.01, 1.99] if unit == "token" else [0.98, 1.98]
    said = [float(values[0, column]) for column in at]
    expected = gae_by_definition(earned, said, 0.9, 0.8)
    assert made.value_mask[0].nonzero()[:, 0].tolist() == at
    wanted = [a + v for a, v in zip(expected, said, strict=True)]
    assert made.returns[0, at].tolist() == pytest.approx(wanted, abs=1e-5)
    if unit == "turn":  # every token of a turn takes part in it alike
        expected = list(itertools.chain.from_iterable([a, a] for a in expected))
    assert made.advantages[0, [1, 2, 4, 5]].tolist() == pytest.approx(expected, abs=1e-5)
    assert made.advantages[0, [0, 3]].tolist() == [0, 0]


@pytest.mark.parametrize("unit", ["token", "turn"])
def test_an_algorithm_with_a_critic_is_given_rewards_at_its_actions_alone(unit):
    """One of somebody's own may add them up."""
    batch = Batch.of([trajectory([1], [[2, 3], [4, 5]], [1.0, 2.0], said=[[9]])])
    given = {}

    def spy(earned, values, acted, gamma, gae_lambda):
        given.update(earned=earned, acted=acted)
        return torch.zeros_like(values)

    batch = replace(batch, values=batch.mask)
    critic = CriticSettings(unit=unit, whiten=False)
    critic_advantages(batch, torch.tensor([[1.0, 2.0]]), None, spy, 1.0, critic)
    assert given["acted"].sum() == (4 if unit == "token" else 2)
    at = {"token": {2: 1.0, 5: 2.0}, "turn": {1: 1.0, 4: 2.0}}[unit]
    assert given["earned"][0].tolist() == [at.get(column, 0.0) for column in range(6)]


def test_length_costs_each_turn_what_eq_13_says():
    group = Group(
        two_turns().task,
        [trajectory([1], [[2] * 10, [3] * 6]), trajectory([1], [[2] * 5])],
    )
    s = OverlongSettings(buffer=4, penalty=0.5)
    by_turn = overlong_penalties([group], by_turn=True, longest=8, s=s)
    assert by_turn.tolist() == [[[-0.5, -0.25], [-0.125, 0.0]]]
    assert overlong_penalties([group], False, 8, s).tolist() == [[[-0.75], [-0.125]]]
    of_the_paper = overlong_penalties([group], True, 10, OverlongSettings())  # the last two
    assert of_the_paper.tolist() == [[[-1.0, 0.0], [0.0, 0.0]]]
