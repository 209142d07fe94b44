"""Does an episode depend on anything but itself?"""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium

from rlenv.conformance.env_under_test import EnvUnderTest, Episode, gold, mixed, play
from rlenv.conformance.suite import Clock, Failure
from rlenv.core.env import TextEnv


def reset_and_step(under_test: EnvUnderTest) -> str:
    """Resetting, stepping, other instances and the caller can't corrupt an episode."""
    _needs_reset(under_test.make())
    clock = Clock(under_test.settings.seconds / 2)
    count = 0
    used = under_test.make()
    for seed in under_test.seeds(min(50, under_test.settings.tasks)):
        if not clock.within(count):
            break
        count += 1
        policy = gold if seed % 2 else mixed(seed)
        expected = play(under_test.make(), policy, seed=seed)
        _after_the_end(under_test.make(), seed)
        # the instance has played other tasks, and is in the middle of one
        used.reset(seed=seed + 1)
        used.step(gold(used, used.reset(seed=seed + 1)[1]["messages"], 0))
        _same(
            expected,
            play(used, policy, seed=seed),
            "an episode went differently after a reset in the middle of another",
            "set up all state of an episode in start(task), not in __init__",
        )
        if seed % 5 == 0:
            _interleaved(under_test, policy, seed)
            _tampered(under_test, policy, seed, expected)
    return f"{count} tasks: after the end, in mid-episode, interleaved, tampered with"


def _needs_reset(env: TextEnv) -> None:
    try:
        env.step("too early")
    except gymnasium.error.ResetNeeded:
        return
    except Exception as error:  # noqa: BLE001 another error is a finding
        raise _no_reset_needed("before the first reset", type(error).__name__) from None
    raise _no_reset_needed("before the first reset", "nothing")


def _after_the_end(env: TextEnv, seed: int) -> None:
    if not play(env, gold, seed=seed).over:
        return  # never ends by itself
    try:
        env.step("too late")
    except gymnasium.error.ResetNeeded:
        return
    except Exception as error:  # noqa: BLE001 another error is a finding
        raise _no_reset_needed("after the end", type(error).__name__) from None
    raise _no_reset_needed("after the end", "nothing")


def _no_reset_needed(when: str, raised: str) -> Failure:
    return Failure(
        f"step {when} raised {raised} instead of gymnasium.error.ResetNeeded",
        "call super().step(), or raise ResetNeeded while no episode is running",
    )


def _interleaved(under_test: EnvUnderTest, policy: Any, seed: int) -> None:
    """Play two instances turn by turn; each must go as it goes alone."""
    envs = [under_test.make(), under_test.make()]
    seeds = [seed, seed + 1]
    alone = [play(under_test.make(), policy, seed=s) for s in seeds]
    states = [env.reset(seed=s) for env, s in zip(envs, seeds, strict=True)]
    messages = [info["messages"] for _, info in states]
    over = [False, False]
    turn = 0
    while not all(over) and turn < len(max((e.steps for e in alone), key=len)):
        for which, env in enumerate(envs):
            if over[which] or turn >= len(alone[which].steps):
                continue
            observation, value, terminated, truncated, info = env.step(alone[which].replies[turn])
            messages[which] = info["messages"]
            over[which] = terminated or truncated
            seen = (observation, repr(value), bool(terminated), bool(truncated))
            if seen != alone[which].steps[turn][:4]:
                raise Failure(
                    f"turn {turn + 1} of seed {seeds[which]} went differently while another "
                    "instance was playing",
                    "keep the state of an episode on self, not on the class or the module",
                )
        turn += 1


def _tampered(under_test: EnvUnderTest, policy: Any, seed: int, expected: Episode) -> None:
    """Corrupt everything the environment hands out; the episode must not notice."""
    env = under_test.make()
    _, info = env.reset(seed=seed)
    for turn, reply in enumerate(expected.replies):
        _corrupt(info)
        observation, value, terminated, truncated, info = env.step(reply)
        seen = (observation, repr(value), bool(terminated), bool(truncated))
        if (*seen, info["reward"].status, repr(info["messages"])) != expected.steps[turn]:
            raise Failure(
                "changing the info or the messages that reset and step returned changed the "
                "episode",
                "return copies: a list of new dicts for info['messages']",
            )
    _same(
        expected,
        play(under_test.make(), policy, seed=seed),
        "changing the info that an episode returned changed later episodes",
        "copy the task's prompt and metadata before handing them out",
    )


def _corrupt(value: Any) -> None:
    """Overwrite all that can be overwritten."""
    if isinstance(value, dict):
        for key in list(value):
            _corrupt(value[key])
            value[key] = "corrupted"
        value["corrupted"] = "corrupted"
    elif isinstance(value, list):
        for item in value:
            _corrupt(item)
        value.append({"role": "user", "content": "corrupted"})


def picklable(under_test: EnvUnderTest) -> str:
    """A copy made in the middle of an episode goes on like the original."""
    clock = Clock(under_test.settings.seconds / 4)
    count = 0
    fix = (
        "keep lambdas, generators, locks, open files and clients off self, or drop and remake them "
        "in __getstate__ and __setstate__"
    )
    for seed in under_test.seeds(min(10, under_test.settings.tasks)):
        if not clock.within(count):
            break
        count += 1
        replies = play(under_test.make(), gold, seed=seed).replies
        envs = [under_test.make()]
        envs[0].reset(seed=seed)
        middle = len(replies) // 2
        for reply in replies[:middle]:
            envs[0].step(reply)
        try:
            envs.append(pickle.loads(pickle.dumps(envs[0])))
        except Exception as error:  # noqa: BLE001 pickling raises many kinds
            raise Failure(f"pickle: {type(error).__name__}: {error}", fix) from None
        for reply in replies[middle:]:
            steps = [env.step(reply) for env in envs]
            if repr(steps[0]) != repr(steps[1]):
                raise Failure("a pickled copy goes on differently from the original", fix)
        if envs[0].reset()[0] != envs[1].reset()[0]:
            raise Failure("a pickled copy draws another next task than the original", fix)
    return f"{count} episodes, copied halfway"


def _same(first: Episode, second: Episode, detail: str, fix: str) -> None:
    if first.record != second.record:
        raise Failure(detail, fix)
