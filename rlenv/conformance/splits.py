"""Can a held-out task turn up in training, is each world a task, and are there enough of them?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from rlenv.common.errors import UserError
from rlenv.conformance.env_under_test import EnvUnderTest, is_single_turn, shown
from rlenv.conformance.suite import Clock, Failure
from rlenv.core.env import TextEnv
from rlenv.core.task import SPLITS, Task

_SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}  # held-out draws cost ten times as much
_BLOCK = 500
_COMPARED = 2000  # tasks drawn to see whether they differ in their metadata alone
_ALIKE = 0.05  # so many of them may: rows that are there twice under two numbers, say
FEWEST = 30  # held-out tasks; of fewer an interval says next to nothing
_TRIES = 20  # draws for each of them; where they are as likely as one another, 5 find all


def disjoint(under_test: EnvUnderTest) -> str:
    """No key, and no prompt, in two splits."""
    envs = {split: under_test.make(split) for split in SPLITS}
    single = is_single_turn(envs["train"])
    keys: dict[str, dict[int, None]] = {split: {} for split in SPLITS}
    contents: dict[str, dict[int, str]] = {split: {} for split in SPLITS}
    count = 0
    streams = {split: _blocks(under_test, env, split) for split, env in envs.items()}
    clock = Clock(under_test.settings.seconds, least=len(SPLITS))
    rounds = 0
    while streams:
        for split in list(streams):
            block = next(streams[split], None)
            if block is None or not clock.within(rounds):
                del streams[split]
                continue
            rounds += 1
            count += len(block)
            for task in block:
                key = int(task.key, 16)
                if key in keys[split]:
                    continue
                keys[split][key] = None
                # one prompt may hide several tasks, but then the answers differ, or the worlds
                hidden = (task.answer, sorted(task.metadata.items()))
                content = repr(task.prompt if single else (task.prompt, hidden))
                contents[split][hash(content)] = task.question
    different = sum(map(len, keys.values()))
    for first, second in (("train", "test"), ("train", "validation"), ("validation", "test")):
        shared = len(keys[first].keys() & keys[second].keys())
        if shared:
            raise Failure(
                f"{shared:,} of {different:,} different tasks are in both {first} and {second}",
                "let the split be a hash of the task: write generate(rng), or use GeneratedTasks "
                "or RowTasks with the split; seeds do not keep splits apart",
            )
        alike = contents[first].keys() & contents[second].keys()
        if alike:
            example = contents[first][next(iter(alike))]
            raise Failure(
                f"{len(alike):,} prompts are in both {first} and {second} under different keys, "
                f"such as {shown(example)}",
                "leave out of prompt, answer and identity what does not make it another task (an "
                "index, a seed, a time, the order of a set)",
            )
    return f"{count:,} tasks ({different:,} different), 0 shared"


def worlds_are_tasks(under_test: EnvUnderTest) -> str:
    """Tasks that differ in their metadata alone count as one, so there should be none."""
    env = under_test.make()
    rng = random.Random(f"{under_test.settings.seed}/identity")
    drawn = min(_COMPARED, under_test.settings.draws)
    some: Iterator[Task] = iter(env.tasks) if hasattr(env.tasks, "__len__") else _drawn(env, rng)
    clock = Clock(under_test.settings.seconds)
    keys: set[str] = set()
    worlds: dict[tuple[str, str], Task] = {}
    for count, task in enumerate(islice(some, drawn)):
        if not clock.within(count):
            break
        if task.identity is None:
            keys.add(task.key)
            worlds.setdefault((task.key, repr(sorted(task.metadata.items()))), task)
    if len(worlds) - len(keys) > _ALIKE * len(worlds):
        example = next(iter(worlds.values()))
        raise Failure(
            f"{len(worlds):,} tasks that differ in prompt, answer or metadata have only "
            f"{len(keys):,} keys, and count as that many: metadata is no part of a task's "
            f"identity (here {', '.join(map(str, example.metadata))})",
            "say what makes a task itself: Task(prompt, answer, metadata, identity=...), such as "
            "identity=world; where its metadata does not matter, leave it out",
        )
    return f"{len(keys):,} tasks" if keys else "each task says what makes it itself"


def enough_held_out(under_test: EnvUnderTest) -> str:
    """A test split of a few tasks tells nothing apart."""
    env = under_test.make("test")
    rng = random.Random(f"{under_test.settings.seed}/held-out")
    finite = hasattr(env.tasks, "__len__")
    some: Iterator[Task] = iter(env.tasks) if finite else islice(_drawn(env, rng), FEWEST * _TRIES)
    clock = Clock(under_test.settings.seconds)
    keys: set[str] = set()
    try:
        for count, task in enumerate(some):
            keys.add(task.key)
            if len(keys) == FEWEST:
                return f"{FEWEST} or more"
            if not clock.within(count):
                return f"{len(keys)} were found, then time was up"
    except UserError as error:
        raise Failure(
            f"the test split can't be drawn from: {error}",
            "make more different tasks, so that some fall into every split",
        ) from None
    raise Failure(
        f"the test split has {len(keys)} tasks, fewer than {FEWEST}: no result on it can be told "
        "from chance",
        "let generate make more different tasks, give more rows, or keep fewer things out of the "
        "tasks' identity; a tenth of all tasks is held out for testing",
    )


def _drawn(env: TextEnv, rng: random.Random) -> Iterator[Task]:
    while True:
        yield env.tasks.sample(rng)


def _blocks(under_test: EnvUnderTest, env: TextEnv, split: str) -> Iterator[list[Task]]:
    """Yield the tasks of a split in blocks: as reset plays them, then as the task set has them."""
    played = []
    try:
        for seed in under_test.seeds(min(_BLOCK, 2 * under_test.settings.tasks)):
            env.reset(seed=seed)
            assert env.task is not None
            played.append(env.task)
        yield played
        if hasattr(env.tasks, "__len__"):
            every = list(env.tasks)
            yield from (every[i : i + _BLOCK] for i in range(0, len(every), _BLOCK))
            return
        rng = random.Random(f"{under_test.settings.seed}/{split}")
        left = int(under_test.settings.draws * _SHARES[split]) - len(played)
        # as many rounds for every split, so that a clock that runs out leaves some of each
        size = max(1, int(_BLOCK * _SHARES[split]))
        while left > 0:
            yield [env.tasks.sample(rng) for _ in range(min(size, left))]
            left -= size
    except UserError as error:
        raise Failure(
            f"the {split} split can't be drawn from: {error}",
            "make more different tasks, so that some fall into every split",
        ) from None
