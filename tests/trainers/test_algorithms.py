"""Every algorithm's advantages and losses against the papers' formulas in plain Python."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.algorithms import LossInputs
from rlenv.trainers.rl.algorithms.dapo import soft_overlong_punishment
from rlenv.trainers.rl.settings import OnPolicySettings

from .support import random_inputs


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    return math.sqrt(sum((v - mean(values)) ** 2 for v in values) / max(1, len(values) - 1))


def grpo(groups):
    return [[(r - mean(g)) / (deviation(g) + 1e-4) for r in g] for g in groups]


def dr_grpo(groups):
    return [[r - mean(g) for r in g] for g in groups]


def rloo(groups):
    return [
        [r - mean(g[:i] + g[i + 1 :]) if len(g) > 1 else 0.0 for i, r in enumerate(g)]
        for g in groups
    ]


def reinforce_pp(groups):
    centred = dr_grpo(groups)
    everything = [a for g in centred for a in g]
    spread = deviation(everything) + 1e-4 if everything else 1.0
    return [[(a - mean(everything)) / spread for a in g] for g in centred]


def maxrl(groups):
    return [[(r - mean(g)) / mean(g) if mean(g) > 0 else 0.0 for r in g] for g in groups]


EXPECTED = {
    **dict.fromkeys(("grpo", "bnpo", "dapo", "gspo", "cispo"), grpo),
    "dr_grpo": dr_grpo,
    "rloo": rloo,
    "reinforce_pp": reinforce_pp,
    "maxrl": maxrl,
}

SAMPLE = st.tuples(st.integers(0, 40).map(lambda n: n / 10), st.booleans())
GRIDS = st.integers(2, 6).flatmap(
    lambda size: st.lists(st.lists(SAMPLE, min_size=size, max_size=size), min_size=1, max_size=4)
)


@pytest.mark.parametrize("name", EXPECTED)
@settings(deadline=None, max_examples=40)
@given(grid=GRIDS)
def test_advantages_against_brute_force(name, grid):
    """Unjudged samples, whose rewards are noise here, do not count and get 0."""
    rewards = torch.tensor([[r for r, _ in row] for row in grid])
    judged = torch.tensor([[float(j) for _, j in row] for row in grid])
    ours = algorithms.find(name).advantages(rewards, judged)
    expected = EXPECTED[name]([[r for r, j in row if j] for row in grid])
    for row, on, values in zip(ours, judged, expected, strict=True):
        assert row[on > 0].tolist() == pytest.approx(values, abs=1e-3, rel=1e-3)
        assert torch.all(row[on == 0] == 0)


@pytest.mark.parametrize("name", EXPECTED)
def test_equal_rewards_teach_nothing_not_even_a_rounding_error(name):
    rewards = torch.tensor([2.8039326667785645, 0.1, 1 / 3])[:, None].expand(3, 3)
    assert torch.all(algorithms.find(name).advantages(rewards, torch.ones(3, 3)) == 0)


def terms(row, low, high):
    """min(r A, clip(r) A) of each sampled token of a row."""
    found = []
    for x, y, a, on in zip(*(values.tolist() for values in row), strict=True):
        if on:
            ratio = math.exp(x - y)
            found.append(-min(ratio * a, min(max(ratio, 1 - low), 1 + high) * a))
    return found


AGGREGATES = {
    "sequence": lambda rows: mean([mean(row) for row in rows]),
    "token": lambda rows: sum(map(sum, rows)) / sum(map(len, rows)),
    "constant": lambda rows: mean([sum(row) / 32 for row in rows]),
    "sum": lambda rows: mean([sum(row) for row in rows]),
}


@pytest.mark.parametrize("mode", AGGREGATES)
@pytest.mark.parametrize("seed", range(3))
def test_the_clipped_surrogate_against_brute_force(mode, seed):
    tensors = random_inputs(seed)
    logprobs, old, advantages, mask = tensors
    inputs = LossInputs(logprobs, old, advantages, mask, 0.2, 0.28)
    weights = algorithms.token_weights(mask, mode, 32)
    ours = (algorithms.find("grpo").loss(inputs) * weights).sum()
    rows = [terms(row, 0.2, 0.28) for row in zip(*tensors, strict=True)]
    assert float(ours) == pytest.approx(AGGREGATES[mode](rows), abs=1e-6)


def test_the_share_of_clipped_tokens_is_measured():
    ratios = torch.tensor([[0.5, 0.5, 2.0, 2.0, 1.0]])
    advantages = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0]])
    mask = torch.ones_like(ratios)
    x = LossInputs(ratios.log(), torch.zeros_like(ratios), advantages, mask, 0.2, 0.2)
    algorithms.find("grpo").loss(x)
    # a ratio below the range is clipped where it was to go down, one above where it was to go up
    assert x.metrics["clip_ratio/low_mean"].float().tolist() == [[0, 1, 0, 0, 0]]
    assert x.metrics["clip_ratio/high_mean"].float().tolist() == [[0, 0, 1, 0, 0]]


@pytest.mark.parametrize("name", ["grpo", "cispo"])
def test_what_lies_on_the_bound_or_has_no_advantage_is_not_clipped(name):
    ratios = torch.tensor([[1.0, 1.0, 1.0, 0.5, 2.0]])
    advantages = torch.tensor([[1.0, -1.0, 0.0, 0.0, 0.0]])
    mask = torch.ones_like(ratios)
    x = LossInputs(ratios.log(), torch.zeros_like(ratios), advantages, mask, 0.0, 0.0)
    algorithms.find(name).loss(x)
    assert x.metrics
    assert not any(torch.any(share > 0) for share in x.metrics.values())


def test_soft_overlong_punishment_is_trls():
    from trl.rewards import get_soft_overlong_punishment

    theirs = get_soft_overlong_punishment(max_completion_len=50, soft_punish_cache=20)
    lengths = list(range(1, 51))
    ours = soft_overlong_punishment(torch.tensor(lengths, dtype=torch.float32), 50, 20)
    expected = theirs(completion_ids=[[0] * n for n in lengths])
    assert ours.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grpo", {"aggregate": "sequence", "clip_low": 0.2, "clip_high": 0.2}),
        ("dr_grpo", {"aggregate": "constant"}),
        ("dapo", {"aggregate": "token", "clip_high": 0.28, "max_refills": 4}),
        ("gspo", {"aggregate": "sequence", "clip_low": 3e-4, "clip_high": 4e-4}),
        ("cispo", {"aggregate": "token", "clip_low": 1.0, "clip_high": 4.0}),
        ("rloo", {"aggregate": "sum"}),
        ("ppo", {"aggregate": "token", "group_size": 1}),
    ],
)
def test_a_config_word_brings_the_papers_settings(name, expected):
    made = OnPolicySettings(algorithm=name, steps=1)
    assert {key: getattr(made, key) for key in expected} == expected
    assert (made.critic is not None) == (name == "ppo")


def test_what_the_user_sets_goes_before_what_the_algorithm_sets():
    made = OnPolicySettings(algorithm="dapo", steps=1, clip_high=0.5)
    assert (made.clip_high, made.max_refills) == (0.5, 4)
    assert made.overlong is not None
    assert OnPolicySettings(algorithm="dapo", steps=1, overlong=None).overlong is None
    made = OnPolicySettings(algorithm="reinforce_pp", steps=1, kl={"coefficient": 0.1})
    assert (made.kl.coefficient, made.kl.estimator) == (0.1, "k2")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"minibatches": 3, "groups": 2}, "minibatches"),
        ({"group_size": 1}, "group_size is at least 2"),
        ({"critic": {}}, "grpo has no critic"),
        ({"algorithm": "ppo", "max_refills": 1}, "nothing to refill"),
        ({"overlong": {"buffer": 9}, "max_tokens": 8}, "overlong.buffer"),
        ({"kl": {"coefficient": 1.0, "reference": False}}, "kl.reference"),
    ],
)
def test_settings_that_do_not_go_together(wrong, says):
    with pytest.raises(ValueError, match=says):
        OnPolicySettings(steps=1, **wrong)


def test_an_algorithm_of_ones_own_is_one_decorated_function():
    @algorithms.advantages("plain", clip_high=0.3)
    def centred(rewards, mask):
        return (rewards - rewards.mean(1, keepdim=True)) * mask

    found = algorithms.find("plain")
    assert inspect.unwrap(found.advantages) is centred
    assert found.loss is algorithms.find("grpo").loss
    assert OnPolicySettings(algorithm="plain", steps=1).clip_high == 0.3

    @algorithms.loss("plainer", aggregate="sum")
    def reinforce(x):
        return -x.logprobs * x.advantages

    found = algorithms.find("plainer")
    assert inspect.unwrap(found.loss) is reinforce
    assert found.advantages is algorithms.find("grpo").advantages
    assert OnPolicySettings(algorithm="plainer", steps=1).aggregate == "sum"


def test_an_algorithm_that_sets_what_there_is_not():
    algorithms.advantages("mistaken", clip_hihg=0.3)(lambda rewards, mask: rewards)
    with pytest.raises(UserError, match="Did you mean clip_high"):
        OnPolicySettings(algorithm="mistaken", steps=1)


def test_a_name_that_there_is_not():
    with pytest.raises(UserError, match="Did you mean dr_grpo"):
        algorithms.find("dr_gpro")


def test_an_algorithm_from_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from rlenv.trainers.rl.algorithms import advantages, loss\n"
        "@advantages('mine')\n"
        "def centred(rewards, mask): return (rewards - rewards.mean(1, keepdim=True)) * mask\n"
        "@loss('mine')\n"
        "def reinforce(x): return -x.logprobs * x.advantages\n"
    )
    made = algorithms.find(f"{path}:mine")
    assert made.advantages(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2)).tolist() == [[0.5, -0.5]]
    with pytest.raises(UserError, match="does not exist"):
        algorithms.find(f"{tmp_path}/none.py:mine")
    (tmp_path / "broken.py").write_text("x = 1\n1 / 0\n")
    with pytest.raises(UserError, match=r"ZeroDivisionError.*line 2"):
        algorithms.find(f"{tmp_path}/broken.py:mine")
