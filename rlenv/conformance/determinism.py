"""Does the seed, and nothing else, decide what happens?"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

import numpy as np

from rlenv.conformance.env_under_test import (
    EnvUnderTest,
    always,
    digest,
    gold,
    mixed,
    play,
    seed_globals,
    shown,
)
from rlenv.conformance.suite import Clock, Failure
from rlenv.core.task import SPLITS

_CHILD_SECONDS = 300


def same_seed(under_test: EnvUnderTest) -> str:
    """Two fresh instances, the same seed, the same replies: the same episode."""
    clock = Clock(under_test.settings.seconds / 4)
    count = 0
    # the global generators are set alike: using them is for another check to find
    for seed in under_test.seeds(min(50, under_test.settings.tasks)):
        for policy in (gold, mixed(seed), always("no idea")):
            if not clock.within(count):
                break
            count += 1
            records = []
            for _ in range(2):
                seed_globals(seed)
                records.append(play(under_test.make(), policy, seed=seed).record)
            if records[0] != records[1]:
                raise Failure(
                    f"two episodes with seed {seed} and the same replies differ in "
                    f"{_difference(*records)}",
                    "draw all randomness from generate's rng or from self.random; keep clocks, "
                    "counters, object ids and the order of sets out of tasks and rewards",
                )
    return f"{count} episodes played twice"


def across_processes(under_test: EnvUnderTest) -> str:
    """Other processes, with another hash seed each, see the same tasks and episodes."""
    ours = observe(under_test)
    own = os.environ.get("PYTHONHASHSEED")
    others = [str(n) for n in range(1, under_test.settings.processes + 2) if str(n) != own]
    for hash_seed in others[: under_test.settings.processes]:
        theirs = _in_child(under_test, hash_seed)
        for name, value in ours.items():
            if theirs.get(name) != value:
                raise Failure(
                    f"{name} differs in a process with PYTHONHASHSEED={hash_seed}: "
                    f"{shown(str(value), 40)} here, {shown(str(theirs.get(name)), 40)} there",
                    "sort sets before drawing from them or printing them, and use hashlib where "
                    "hash() is used",
                )
    return f"{len(ours)} facts the same in {under_test.settings.processes + 1} processes"


def observe(under_test: EnvUnderTest) -> dict[str, Any]:
    """Collect what must be the same in every process."""
    seen: dict[str, Any] = {}
    for split in SPLITS:
        env = under_test.make(split)
        seen[f"the fingerprint of {split}"] = env.tasks.fingerprint
        for index in range(5):
            try:
                seen[f"task {index} of {split}"] = env.tasks[index].question
                seen[f"the key of task {index} of {split}"] = env.tasks[index].key
            except IndexError:
                break
    env = under_test.make()
    for seed in under_test.seeds(min(10, under_test.settings.tasks)):
        for name, policy in (("gold", gold), ("mixed", mixed(seed))):
            seed_globals(seed)
            episode = play(env, policy, seed=seed)
            seen[f"the question of seed {seed}"] = episode.opening
            seen[f"the episode of seed {seed} with {name} replies"] = digest(episode.record)
    return seen


def _in_child(under_test: EnvUnderTest, hash_seed: str) -> dict[str, Any]:
    request = {
        "ref": under_test.ref,
        "options": under_test.options,
        "tasks": under_test.settings.tasks,
        "seed": under_test.settings.seed,
    }
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
    try:
        child = subprocess.run(
            [sys.executable, "-m", "rlenv.conformance.probe"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            timeout=_CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failure(
            f"a fresh process took more than {_CHILD_SECONDS} s to play 20 episodes",
            "make loading the environment faster",
        ) from None
    if child.returncode != 0:
        last = (child.stderr.strip() or "no message").splitlines()[-1]
        raise Failure(
            f"it does not run in a fresh process: {last}",
            "do what the environment needs in its own module, not in the program that made it",
        )
    seen: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return seen


def groups(under_test: EnvUnderTest) -> str:
    """Rollouts of a group, reset to one task with one seed, begin alike and at that task."""
    clock = Clock(under_test.settings.seconds / 4)
    count = 0
    source = under_test.make()
    for seed in under_test.seeds(min(50, under_test.settings.tasks)):
        if not clock.within(count):
            break
        count += 1
        task = source.tasks.sample(random.Random(seed))
        openings = []
        for member in range(4):
            seed_globals(member)
            opening, info = under_test.make().reset(seed=seed, options={"task": task})
            openings.append((opening, repr(info["messages"])))
            if info["task_key"] != task.key:
                raise Failure(
                    f"asked for the task {shown(task.question)}, reset played another",
                    "play options['task'] in reset where it is given; super().reset() does",
                )
        if len(set(openings)) > 1:
            raise Failure(
                f"rollouts of one task with seed {seed} began differently: {openings[0][0]!r} and "
                f"{next(o for o in openings if o != openings[0])[0]!r}",
                "draw the randomness of an episode from self.random, which a group shares",
            )
    return f"{count} groups of 4"


def own_randomness(under_test: EnvUnderTest) -> str:
    """The global generators are neither read nor moved."""
    clock = Clock(under_test.settings.seconds / 4)
    count = 0
    fix = "use generate's rng, self.random or self.np_random instead of random and numpy.random"
    for seed in under_test.seeds(min(50, under_test.settings.tasks)):
        if not clock.within(count):
            break
        count += 1
        records = []
        for other in (seed, seed + 1):
            seed_globals(other)
            python, array = random.getstate(), repr(np.random.get_state())
            env = under_test.make()
            records.append(
                (play(env, gold, seed=seed).record, play(env, mixed(seed), seed=seed).record)
            )
            if random.getstate() != python:
                raise Failure("it draws from, or seeds, Python's global generator", fix)
            if repr(np.random.get_state()) != array:
                raise Failure("it draws from, or seeds, numpy's global generator", fix)
        if records[0] != records[1]:
            raise Failure("seeding the global generators changes what happens", fix)
    return f"{count} tasks, random and numpy.random untouched"


def _difference(first: tuple[Any, ...], second: tuple[Any, ...]) -> str:
    if first[:2] != second[:2]:
        return f"their opening: {shown(first[0], 40)} and {shown(second[0], 40)}"
    names = ("observation", "reward", "end", "truncation", "status", "messages")
    for turn, (a, b) in enumerate(zip(first[3:], second[3:], strict=False), 1):
        for name, x, y in zip(names, a, b, strict=True):
            if x != y:
                return f"the {name} of turn {turn}: {shown(str(x), 40)} and {shown(str(y), 40)}"
    return "their length"
