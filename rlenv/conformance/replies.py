"""Does the right reply earn the maximum, and a worthless one nothing?"""

from __future__ import annotations

import math
import random
import string

from rlenv.conformance.env_under_test import (
    EnvUnderTest,
    always,
    gibberish,
    gold,
    has_gold,
    is_single_turn,
    mixed,
    play,
    shown,
)
from rlenv.conformance.suite import Clock, Failure, Skip

EPSILON = 1e-9

_TRUNCATED = [
    "\\boxed{",
    "<think>",
    "</think>",
    "<answer>",
    "```python\ndef",
    '<tool_call>{"name": "',
    '{"a": [',
    "%s {0} $(",
]


def gold_count(under_test: EnvUnderTest) -> int:
    """Return how many of the first tasks have an expert's reply."""
    env = under_test.make()
    return sum(has_gold(env, seed) for seed in under_test.seeds(min(5, under_test.settings.tasks)))


def gold_earns_the_maximum(under_test: EnvUnderTest) -> str:
    """The expert's replies earn the maximum."""
    if not gold_count(under_test):
        raise Skip("no gold reply: demonstrate() returns None")
    env = under_test.make()
    high = env.reward_range[1]
    goal = env.solved_at
    # several turns may cost something each; one reply has no excuse
    if is_single_turn(env) and math.isfinite(high):
        goal = max(goal, high)
    clock = Clock(under_test.settings.seconds)
    count = short = 0
    example = ""
    for seed in under_test.seeds(under_test.settings.tasks):
        if not clock.within(count):
            break
        if not has_gold(env, seed):
            continue
        count += 1
        episode = play(env, gold, seed=seed)
        if not episode.value >= goal - EPSILON:  # NaN is not enough either
            short += 1
            reason = episode.reward.detail if not episode.reward.judged else "too little"
            example = example or (
                f"{shown(episode.replies[-1])} to {shown(episode.opening)} earned "
                f"{episode.value:g} ({reason})"
            )
    if short:
        raise Failure(
            f"the gold reply missed {goal:g} on {short} of {count} tasks, such as {example}",
            "make demonstrate() return a reply that the grader accepts, or mend the grader; "
            "reward_range[1] and solved_at must be what it can earn",
        )
    return f"{count} tasks, each earned {goal:g}"


def worthless(under_test: EnvUnderTest) -> str:
    """Worthless replies stay at the floor and never break the grader."""
    env = under_test.make()
    floor = under_test.floor
    clock = Clock(under_test.settings.seconds)
    count = 0
    for seed in under_test.seeds(under_test.settings.tasks):
        for kind, reply in _worthless(seed, long=seed % 10 == under_test.settings.seed % 10):
            if not clock.within(count):
                return f"{count} replies, none above {floor:g} (out of time)"
            count += 1
            try:
                episode = play(env, always(reply), seed=seed)
            except Exception as error:  # noqa: BLE001 that is what we look for
                raise Failure(
                    f"{kind} ({shown(reply, 30)}) made step raise {type(error).__name__}: {error}",
                    "accept any string as a reply; check it before it is parsed",
                ) from None
            if not episode.reward.judged:
                raise Failure(
                    f"{kind} ({shown(reply, 30)}) broke the grader: {episode.reward.detail}",
                    "return Reward(0, status='unparseable') for what can't be read; a grader_error "
                    "says that the grader failed, not the reply",
                )
            if episode.value > floor + EPSILON:
                raise Failure(
                    f"{kind} ({shown(reply, 30)}) to {shown(episode.opening)} earned "
                    f"{episode.value:g}, above the floor of {floor:g}",
                    "give nothing for replies that state no answer; where they must earn "
                    "something, set the class attribute floor",
                )
    return f"{count} replies, none above {floor:g}"


def _worthless(seed: int, *, long: bool) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    words = "".join(rng.choices(string.ascii_lowercase + " ", k=60))
    replies = [
        ("an empty reply", ""),
        ("blanks", " \n\t "),
        ("random characters", gibberish(rng)),
        ("random letters", words),
        ("random Unicode", "".join(chr(rng.randint(0xA0, 0x2FFF)) for _ in range(40))),
        ("lone surrogates", "\ud800\udfff answer \udc80"),
        ("control characters", "\x00\x01\x1b[31m\u202e\ufeff"),
        ("a repeated reply", "I do not know. " * 30),
        ("a repeated character", "?" * 200),
        *(("a truncated form", text) for text in _TRUNCATED),
    ]
    if long:
        replies += [
            ("a very long reply", gibberish(rng, 100_000)),
            ("a very long run of blanks", "=" + " " * 100_000 + "x"),
            ("very deep nesting", "(" * 50_000 + "[{" * 25_000),
            ("a very long number", "7" * 100_000),
        ]
    return replies


def in_range(under_test: EnvUnderTest) -> str:
    """Total rewards lie within `reward_range`, and are what `step` returned."""
    env = under_test.make()
    low, high = env.reward_range
    clock = Clock(under_test.settings.seconds / 2)
    count = 0
    answers = _other_answers(under_test)
    for seed in under_test.seeds(under_test.settings.tasks):
        wrong = answers[seed % len(answers)] if answers else "wrong"
        for policy in (gold, mixed(seed), always("no idea"), always(wrong)):
            if not clock.within(count):
                break
            count += 1
            episode = play(env, policy, seed=seed)
            stepped = sum(float(step[1]) for step in episode.steps)
            if not episode.reward.judged:
                continue  # the check of worthless replies reports it
            if not low - EPSILON <= episode.value <= high + EPSILON:
                raise Failure(
                    f"{shown(episode.replies[-1])} to {shown(episode.opening)} earned "
                    f"{episode.value:g}, outside of [{low:g}, {high:g}]",
                    "set the class attribute reward_range to the lowest and the highest total "
                    "reward of an episode, or mend the reward",
                )
            if abs(stepped - episode.value) > 1e-6:
                raise Failure(
                    f"step returned {stepped:g} in all, but info['reward'] adds up to "
                    f"{episode.value:g}",
                    "return the value of info['reward'] from step",
                )
    return f"{count} episodes within [{low:g}, {high:g}]"


def _other_answers(under_test: EnvUnderTest) -> list[str]:
    """Return what the expert says to some tasks: to the others, replies in the right form."""
    env = under_test.make()
    return [play(env, gold, seed=seed).replies[-1] for seed in under_test.seeds(5)]
