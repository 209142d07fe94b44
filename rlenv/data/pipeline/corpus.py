"""Where training text comes from."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlenv.common.errors import UserError
from rlenv.core import protocols, registry
from rlenv.core.rows import is_made
from rlenv.data.decontamination import decontaminate
from rlenv.data.pipeline import sources
from rlenv.run.config import EnvSettings

BUILT_IN = ("generated:documents", "python_topics", "python_docs", "tasks")


def documents(name: str, env: EnvSettings | None, *, seed: int, tasks: int) -> list[str]:
    """Return the documents of one source.

    Args:
        name: `python_topics` (the English help texts that come with every Python), `python_docs`
            (what its standard library says of itself), `generated:documents` (texts that rlenv
            writes), `tasks` (solved tasks of the environment's train split, as text), or a source
            of documents such as the folder that `rlenv data run` leaves, see
            `sources.InputSettings.path`.
        env: the run's environment, if it has one; lines that state its held-out tasks are dropped.
        seed: of the tasks drawn.
        tasks: how many tasks to draw for `tasks`.

    Raises:
        UserError: no such source, or one that can't be read.
    """
    if name == "tasks":
        assert env is not None
        return solved_tasks(env, seed=seed, count=tasks)
    return list(_clean(name, env and env.model_dump_json(), _changed(name)))


@functools.lru_cache(maxsize=8)  # several stages of a run read the same text
def _clean(name: str, env_json: str | None, changed: int) -> tuple[str, ...]:
    texts = sources.texts([name])
    if env_json is None:
        return tuple(texts)
    env = EnvSettings.model_validate_json(env_json)
    return tuple(decontaminate(texts, env.id, **env.options))


def check_source(name: str, env: EnvSettings | None) -> None:
    """Raise a `UserError` if there is no such source for a run with this environment."""
    if name == "tasks" and env is None:
        raise UserError("the corpus has tasks, but the run has no environment; set env")
    if name == "tasks" or is_made(name):
        return
    if not Path(name).exists() and "/" not in name:
        raise UserError(
            f"there is no corpus {name!r}; give {', '.join(BUILT_IN)} or the path of a file or "
            "folder of text"
        )
    sources.expand(name)


def _changed(name: str) -> int:
    """Return a number that changes when the files of a source do."""
    if is_made(name):
        return 0
    paths = [Path(found) for found in sources.expand(name)]
    return max(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def solved_tasks(env: EnvSettings, *, seed: int, count: int) -> list[str]:
    """Draw tasks of the train split and return them solved, as text."""
    made = registry.make(env.id, split="train", **env.options)
    tasks = made.tasks.for_training()
    rng = random.Random(f"corpus/{seed}")
    texts = [protocols.text(made, tasks.sample(rng)) for _ in range(count)]
    known = [text for text in texts if text is not None]
    if not known:
        raise UserError(f"{env.id} gives no solved tasks as text; leave 'tasks' out of the corpus")
    return known


def mixture(corpus: Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """Return the share of each source; a list means equal shares."""
    weights = dict(corpus) if isinstance(corpus, Mapping) else dict.fromkeys(corpus, 1.0)
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
