"""The alarms that a run raises about itself."""

import pytest

from rlenv.trainers.rl.monitors import ALARMS, Monitor

WELL = {
    "reward": 0.4,
    "frac_reward_zero_std": 0.3,
    "completions/clipped_ratio": 0.1,
    "entropy": 1.0,
    "kl": 0.01,
    "grader_errors": 0.0,
    "unparseable": 0.1,
    "rewards/disagreement/mean": 0.2,
    "completions/mean_length": 20.0,
    "completions/repetition": 0.1,
}
TROUBLE = {
    "equal": {"frac_reward_zero_std": 1.0},
    "truncated": {"completions/clipped_ratio": 0.97},
    "entropy": {"entropy": 0.001, "frac_reward_zero_std": 0.9},
    "kl": {"kl": 2.5},
    "disagreement": {"rewards/disagreement/mean": 0.5},
    "length": {"completions/mean_length": 61.0},
    "repetition": {"completions/repetition": 0.31},
    "graders": {"grader_errors": 0.1},
    "silent": {"unparseable": 1.0},
}


def said(monitor, steps, metrics):
    return [alert.message for step in steps for alert in monitor.check(step, {**WELL, **metrics})]


def test_a_run_that_goes_well_says_nothing():
    assert said(Monitor(), range(300), {}) == []


def test_every_alarm_has_its_trouble():
    assert TROUBLE.keys() | {"gold"} == ALARMS.keys()


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_is_told_once_it_lasts_and_again_after_a_while(name):
    monitor = Monitor()
    monitor.check(1, WELL)
    patience = ALARMS[name].patience
    assert said(monitor, range(2, 1 + patience), TROUBLE[name]) == []
    (words,) = said(monitor, range(1 + patience, 101 + patience), TROUBLE[name])
    assert "{" not in words
    assert len(said(monitor, range(101 + patience, 201 + patience), TROUBLE[name])) == 1


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("equal", "curriculum"),
        ("truncated", "max_tokens"),
        ("entropy", "clip_high"),
        ("kl", "kl.coefficient"),
        ("silent", "SFT"),
        ("disagreement", "cautious"),
    ],
)
def test_the_words_name_the_setting_that_helps(name, word):
    monitor = Monitor()
    monitor.check(1, WELL)
    words = said(monitor, range(2, 10), TROUBLE[name])
    assert word in words[0]


def test_a_policy_that_is_sure_and_right_has_not_collapsed():
    monitor = Monitor()
    monitor.check(1, WELL)
    assert said(monitor, range(2, 10), {"entropy": 0.001, "frac_reward_zero_std": 0.4}) == []


def test_without_an_entropy_to_begin_with_none_has_collapsed():
    """The first step had nothing to train on."""
    monitor = Monitor()
    monitor.check(1, {name: value for name, value in WELL.items() if name != "entropy"})
    assert said(monitor, range(2, 10), TROUBLE["entropy"]) == []


@pytest.mark.parametrize(("first", "alarms"), [(1.0, 1), (0.011, 1), (0.009, 0)])
def test_the_entropy_has_collapsed_to_a_tenth_of_what_it_was(first, alarms):
    monitor = Monitor()
    monitor.check(1, {**WELL, "entropy": first})
    assert len(said(monitor, range(2, 10), TROUBLE["entropy"])) == alarms


def test_what_is_measured_now_and_then_counts_each_time():
    monitor = Monitor()
    without = {k: v for k, v in WELL.items() if k != "kl"}
    assert monitor.check(1, without) == []
    assert len(monitor.check(2, {**without, "kl": 3.0})) == 1


def over_time(gold, rewards, monitor=None):
    monitor = monitor or Monitor("held_out/rewards/rule")
    return [
        [
            t.alarm
            for t in monitor.check(n, {**WELL, "held_out/reward": r, "held_out/rewards/rule": g})
        ]
        for n, (g, r) in enumerate(zip(gold, rewards, strict=True))
    ]


def test_a_gold_reward_that_falls_while_the_reward_rises_is_told():
    rising = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    # it gains 0.4, and of that loses 0.05, 0.2 and 0.3
    assert over_time([0.2, 0.4, 0.6, 0.55, 0.4, 0.3], rising) == [[], [], [], [], [], ["gold"]]
    assert not any(over_time([0.2, 0.4, 0.6, 0.55, 0.55, 0.55], rising))
    # both fall: the policy is ruined, but not by pleasing the reward
    assert not any(over_time([0.2, 0.4, 0.6, 0.4, 0.2, 0.1], [0, 1, 2, 1.5, 1.0, 0.5]))
    # nothing was gained that could be lost
    assert not any(over_time([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], rising))
    # it was not measured at every step
    without = Monitor("held_out/rewards/rule")
    assert not any(without.check(n, WELL) for n in range(5))


def test_an_interruption_forgets_nothing_of_the_gold_reward():
    gold, rising = [0.2, 0.6, 0.3, 0.3], [0.0, 1.0, 2.0, 3.0]
    first, second = Monitor("held_out/rewards/rule"), Monitor("held_out/rewards/rule")
    over_time(gold[:3], rising[:3], first)
    second.load_state_dict(first.state_dict())
    assert over_time(gold[3:], rising[3:], second) == [["gold"]]


def test_an_interruption_changes_nothing():
    whole, first = Monitor(), Monitor()
    expected = [whole.check(n, {**WELL, **TROUBLE["equal"]}) for n in range(6)]
    found = [first.check(n, {**WELL, **TROUBLE["equal"]}) for n in range(2)]
    second = Monitor()
    second.load_state_dict(first.state_dict())
    found += [second.check(n, {**WELL, **TROUBLE["equal"]}) for n in range(2, 6)]
    assert found == expected
    assert any(expected)
