"""A step of the loop is the step that the papers describe, however its parts are put together.

Each case says twice what is wanted: in the settings that a user writes, and in the words of
`plain.Recipe`. Both trainers get the same rollouts, in which one has no verdict.
"""

import pytest
import torch

from .episodes import crafted
from .plain import ALGORITHMS, PlainTrainer, Recipe, ValueFunction

SIZES = {"steps": 4, "groups": 4, "group_size": 4, "max_tokens": 8, "micro_batch": 3}
RISING = [1 / 6, 2 / 6, 3 / 6, 4 / 6]  # the learning rate in the warmup of five steps
PPO = {"algorithm": "ppo", "epochs": 1}


def recipe_for(algorithm, **recipe):
    made = {"rates": RISING, **ALGORITHMS[algorithm], **recipe}
    if algorithm == "ppo":
        made.setdefault("critic", ValueFunction())
    return Recipe(**made)


def plain_of(trained, recipe):
    return PlainTrainer(recipe, trained.policy, trained.reference, trained.trunk, trained.head)


def compare(trained, recipe, steps=1):
    """Take steps, and compare what was logged, the gradients and the weights with plain ones."""
    plain = plain_of(trained, recipe)
    with trained.recorded():
        for number in range(steps):
            logged, _ = trained.loop.step(number, with_reference_kl=True)
            expected = plain.step(number, trained.played[number])
            assert {name: logged[name] for name in expected} == pytest.approx(expected, rel=1e-4)
            assert logged["learning_rate"] == pytest.approx(
                recipe.learning_rate * recipe.rates[number]
            )
            if recipe.beta:
                assert logged["kl_coefficient"] == pytest.approx(plain.beta)
    assert len(trained.gradients) == len(plain.gradients) >= steps
    for ours, theirs in zip(trained.gradients, plain.gradients, strict=True):
        assert ours.keys() == theirs.keys()
        assert max(float(g.abs().max()) for g in theirs.values()) > 1e-3
        for name, gradient in theirs.items():
            assert torch.allclose(ours[name].double(), gradient, atol=3e-6, rtol=1e-4), name
    weights = trained.weights()
    for name, theirs, rate in plain.named_parameters():
        apart = (weights[name] - theirs.detach()).abs()
        # where a gradient is all but 0, Adam makes much of its rounding error
        assert float(apart.max()) < 0.03 * rate, name
        assert float(apart.mean()) < 3e-4 * rate, name
    return plain


def differ(some, others):
    """Whether two plain trainers went along different gradients."""
    if len(some.gradients) != len(others.gradients):
        return True
    return any(
        float((a[name] - b[name]).abs().max()) > 1e-4
        for a, b in zip(some.gradients, others.gradients, strict=True)
        for name in a
    )


# every algorithm: alone, and with all that can be added to a loss


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(train, algorithm):
    settings = {"algorithm": algorithm, "overlong": None, "max_refills": 0, "epochs": 1}
    compare(train(**SIZES, **settings), recipe_for(algorithm), steps=2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_with_all_that_adds_to_a_loss(train, algorithm):
    """The estimator is named only where the algorithm has one of its own."""
    settings = {
        "temperature": 0.8,
        "kl": {"coefficient": 0.05},
        "entropy_bonus": 0.1,
        "importance_cap": 1.1,
        "overlong": {"buffer": 5, "penalty": 0.5},
        "epochs": 2,
        "minibatches": 2,
        "max_refills": 0,
    }
    recipe = {
        "temperature": 0.8,
        "beta": 0.05,
        "estimator": "k2" if algorithm == "reinforce_pp" else "k3",
        "entropy_bonus": 0.1,
        "importance_cap": 1.1,
        "overlong": (5, 0.5),
        "epochs": 2,
        "minibatches": 2,
    }
    trained = train(**SIZES, algorithm=algorithm, **settings)
    compare(trained, recipe_for(algorithm, **recipe))


def test_what_an_algorithm_brings_along_is_used(train):
    """DAPO's overlong punishment over the last fifth of the tokens, and PPO's second epoch."""
    compare(train(**SIZES, algorithm="dapo", max_refills=0), recipe_for("dapo", overlong=(1, 1.0)))
    compare(train(**SIZES, algorithm="ppo"), recipe_for("ppo", epochs=2))


# one thing at a time: the settings, the recipe, and the algorithm

KL = [
    (algorithm, place, estimator)
    for algorithm in ("grpo", "ppo")
    for place in ("loss", "reward")
    for estimator in ("k1", "k2", "k3")
]


@pytest.mark.parametrize(("algorithm", "place", "estimator"), KL)
def test_the_kl_in_the_loss_and_in_the_reward(train, algorithm, place, estimator):
    kl = {"coefficient": 0.2, "place": place, "estimator": estimator}
    trained = train(**SIZES, algorithm=algorithm, epochs=1, kl=kl)
    without = plain_of(trained, recipe_for(algorithm))
    recipe = recipe_for(algorithm, beta=0.2, estimator=estimator, kl_in=place)
    found = compare(trained, recipe)
    without.step(0, trained.played[0])
    assert differ(found, without)


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
@pytest.mark.parametrize(("place", "estimator"), [("loss", "k3"), ("reward", "k1")])
def test_the_estimator_that_is_taken_where_none_is_named(train, algorithm, place, estimator):
    kl = {"coefficient": 0.2, "place": place}
    trained = train(**SIZES, algorithm=algorithm, epochs=1, kl=kl)
    compare(trained, recipe_for(algorithm, beta=0.2, estimator=estimator, kl_in=place))


@pytest.mark.parametrize("target", [0.01, 100.0])
def test_the_kl_coefficient_follows_its_target(train, target):
    trained = train(**SIZES, kl={"coefficient": 0.2, "target": target})
    plain = compare(trained, recipe_for("grpo", beta=0.2, kl_target=target), steps=3)
    assert (plain.beta > 0.2) == (target < 1)


def critic(**values):
    return {"critic": ValueFunction(**values)}


CASES = {
    "entropy bonus": ({"entropy_bonus": 0.3}, {"entropy_bonus": 0.3}),
    "entropy bonus of PPO": ({**PPO, "entropy_bonus": 0.3}, {"entropy_bonus": 0.3}),
    "temperature": ({"temperature": 0.6}, {"temperature": 0.6}),
    "clip range": ({"clip_low": 0.05, "clip_high": 0.1}, {"clip": (0.05, 0.1)}),
    "averaged otherwise": ({"aggregate": "constant"}, {"aggregate": "constant"}),
    "overlong": ({"overlong": {"buffer": 6}}, {"overlong": (6, 1.0)}),
    "overlong of PPO": (
        {**PPO, "overlong": {"buffer": 6, "penalty": 0.5}},
        {"overlong": (6, 0.5)},
    ),
    "overlong by episode": (
        {"overlong": {"buffer": 6}, "credit": "episode"},
        {"overlong": (6, 1.0), "by_turn": False},
    ),
    "drop_truncated": ({"drop_truncated": True}, {"drop_truncated": True}),
    "drop_truncated of PPO": ({**PPO, "drop_truncated": True}, {"drop_truncated": True}),
    "reward_clip": ({"reward_clip": [0.2, 0.6]}, {"reward_clip": (0.2, 0.6)}),
    "reward_clip of PPO": ({**PPO, "reward_clip": [0.2, 0.6]}, {"reward_clip": (0.2, 0.6)}),
    "reward_clip by episode": (
        {"reward_clip": [0.2, 0.6], "credit": "episode"},
        {"reward_clip": (0.2, 0.6), "by_turn": False},
    ),
    "by episode": ({"credit": "episode"}, {"by_turn": False}),
    "gspo by episode": ({"algorithm": "gspo", "credit": "episode"}, {"by_turn": False}),
    "KL in the reward by episode": (
        {"credit": "episode", "kl": {"coefficient": 0.2, "place": "reward"}},
        {"by_turn": False, "beta": 0.2, "kl_in": "reward", "estimator": "k1"},
    ),
    "gamma": ({"gamma": 0.5}, {"gamma": 0.5}),
    "gamma 0": ({"gamma": 0.0}, {"gamma": 0.0}),
    "gamma of PPO": ({**PPO, "gamma": 0.8}, {"gamma": 0.8}),
    "importance weights": ({"importance_cap": 1.2}, {"importance_cap": 1.2}),
    "importance weights of PPO": ({**PPO, "importance_cap": 1.2}, {"importance_cap": 1.2}),
    "importance weights beside a KL": (
        {"importance_cap": 1.2, "kl": {"coefficient": 0.2}},
        {"importance_cap": 1.2, "beta": 0.2},
    ),
    "minibatches": ({"minibatches": 2}, {"minibatches": 2}),
    "minibatches and epochs of PPO": (
        {**PPO, "minibatches": 3, "epochs": 2},
        {"minibatches": 3, "epochs": 2},
    ),
    "weight decay": ({"weight_decay": 0.5}, {"weight_decay": 0.5}),
    "gradient norm": ({"max_grad_norm": 0.02}, {"max_norm": 0.02}),
    "gradient norm of PPO": ({**PPO, "max_grad_norm": 0.02}, {"max_norm": 0.02}),
    "shared critic": ({**PPO, "critic": {"shared": True}}, critic(shared=True)),
    "shared critic with all": (
        {
            **PPO,
            "critic": {"shared": True},
            "entropy_bonus": 0.1,
            "kl": {"coefficient": 0.1, "place": "reward"},
            "importance_cap": 1.2,
        },
        {
            **critic(shared=True),
            "entropy_bonus": 0.1,
            "beta": 0.1,
            "kl_in": "reward",
            "estimator": "k1",
            "importance_cap": 1.2,
        },
    ),
    "critic by turn": ({**PPO, "critic": {"unit": "turn"}}, critic(by_turn=True)),
    "critic by turn, KL in the reward": (
        {**PPO, "critic": {"unit": "turn"}, "kl": {"coefficient": 0.1, "place": "reward"}},
        {**critic(by_turn=True), "beta": 0.1, "kl_in": "reward", "estimator": "k1"},
    ),
    "critic not whitened": ({**PPO, "critic": {"whiten": False}}, critic(whiten=False)),
    "critic not clipped": (
        {**PPO, "minibatches": 3, "learning_rate": 0.05, "critic": {"clip": None}},
        {**critic(clip=None), "minibatches": 3, "learning_rate": 0.05},
    ),
    "critic clipped": (
        {**PPO, "minibatches": 1, "epochs": 3, "learning_rate": 0.05, "critic": {"clip": 0.01}},
        {**critic(clip=0.01), "epochs": 3, "learning_rate": 0.05},
    ),
    "critic's lambda": ({**PPO, "critic": {"gae_lambda": 0.3}}, critic(lam=0.3)),
    "critic's weight": (
        {**PPO, "max_grad_norm": 1e6, "critic": {"coefficient": 2.0}},
        {**critic(coefficient=2.0), "max_norm": 1e6},
    ),
    "weight of a shared critic": (
        {**PPO, "critic": {"coefficient": 2.0, "shared": True}},
        critic(coefficient=2.0, shared=True),
    ),
    "critic's learning rate": (
        {**PPO, "critic": {"learning_rate": 0.01}, "weight_decay": 0.5},
        {**critic(learning_rate=0.01), "weight_decay": 0.5},
    ),
}
# what these change is no gradient of the first step
_LATER = {"weight decay", "critic's learning rate", "importance weights beside a KL"}


@pytest.mark.parametrize("case", CASES)
def test_one_thing_at_a_time(train, case):
    settings, recipe = CASES[case]
    algorithm = settings.get("algorithm", "grpo")
    trained = train(**SIZES, **settings)
    usual = plain_of(trained, recipe_for(algorithm)) if case not in _LATER else None
    if "critic" in recipe and recipe["critic"].shared:
        usual = None  # there is no critic of its own to compare with
    found = compare(trained, recipe_for(algorithm, **recipe))
    if usual is not None:
        usual.step(0, trained.played[0])
        assert differ(found, usual), "the rollouts do not show what this case is about"


# a server that tells no logprob of some tokens


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
@pytest.mark.parametrize("place", ["loss", "reward"])
def test_tokens_that_the_sampler_told_no_logprob_of(train, algorithm, place):
    def silent(*args, **kwargs):
        return crafted(*args, **kwargs, silent=True)

    trained = train(
        silent,
        **SIZES,
        algorithm=algorithm,
        epochs=1,
        importance_cap=1.3,
        kl={"coefficient": 0.2, "place": place, "estimator": "k1"},
    )
    recipe = recipe_for(algorithm, importance_cap=1.3, beta=0.2, kl_in=place, estimator="k1")
    compare(trained, recipe)
    sampled = [x for group in trained.played[0] for e in group for x in e.sampled]
    assert 0 < sum(x != x for x in sampled) < len(sampled)


# a rollout without a verdict


@pytest.mark.parametrize(
    ("settings", "recipe"),
    [
        ({"algorithm": "grpo"}, {}),
        ({"algorithm": "grpo", "kl": {"coefficient": 0.2}}, {"beta": 0.2}),
        ({"algorithm": "dapo", "overlong": None, "max_refills": 0}, {}),
        (PPO, {}),
        ({**PPO, "critic": {"whiten": False}}, critic(whiten=False)),
    ],
)
def test_a_rollout_without_a_verdict_is_as_if_it_had_not_been_played(train, settings, recipe):
    """And would have moved the others, had its reward counted or been taken for 0."""
    algorithm = settings["algorithm"]
    trained = train(**SIZES, **settings)
    others = [plain_of(trained, recipe_for(algorithm, **recipe)) for _ in range(2)]
    found = compare(trained, recipe_for(algorithm, **recipe))
    (group, *_) = trained.played[0]
    (failed,) = [e for e in group if not e.judged]
    failed.judged = True
    others[0].step(0, trained.played[0])
    failed.rewards = [0.0] * len(failed.turns)
    others[1].step(0, trained.played[0])
    assert all(differ(found, other) for other in others)


def test_a_step_without_a_verdict_takes_no_optimizer_step(train):
    def unjudged(*args, **kwargs):
        groups = crafted(*args, **kwargs)
        for group in groups:
            for t in group.trajectories:
                t.reward = t.reward.failed("no verdict")
        return groups

    trained = train(unjudged, **SIZES, max_grader_errors=1.0)
    before = trained.weights()
    with trained.recorded():
        metrics, _ = trained.loop.step(0, with_reference_kl=True)
    assert trained.gradients == []
    assert metrics["groups/trained"] == 0
    assert all(torch.equal(before[name], p) for name, p in trained.weights().items())
