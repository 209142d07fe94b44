"""Can a held-out task turn up in training?"""

from __future__ import annotations

import random
from collections.abc import Iterator

from rlenv.common.errors import UserError
from rlenv.conformance.env_under_test import EnvUnderTest, is_single_turn, shown
from rlenv.conformance.suite import Clock, Failure
from rlenv.core.env import TextEnv
from rlenv.core.task import SPLITS, Task

_SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}  # held-out draws cost ten times as much
_BLOCK = 500


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
                # one prompt may hide several tasks, but then the answers differ
                content = repr(task.prompt if single else (task.prompt, task.answer))
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
