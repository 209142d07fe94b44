"""Tasks, and task sets whose splits can't overlap.

A task's split is a hash of its content. Whatever the seed, the order of the rows or the machine,
the same task falls into the same split, so training and held-out tasks are disjoint by
construction.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from rlenv.common.errors import HeldOutError, UserError, cause, did_you_mean

Message = dict[str, Any]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_HELD_OUT_SHARE = 0.1  # of all tasks for validation, and as much again for test
_MAX_DRAWS = 20_000
_CONTENT = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Task:
    """One problem, and what is needed to judge a reply to it.

    Args:
        prompt: the question, or the chat messages (`{"role": ..., "content": ...}`) that open it.
        answer: the ground truth: anything JSON can hold, or None.
        metadata: what else the environment wants to keep, such as a difficulty level; it is no
            part of the task's identity.
        identity: what makes this the task it is, where that is not prompt and answer: give two
            tasks the same identity and they share a key and a split (`2 + 3` and `3 + 2`).
    """

    prompt: tuple[Message, ...]
    answer: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    identity: Any = None

    def __init__(
        self,
        prompt: str | Sequence[Message],
        answer: Any = None,
        metadata: Mapping[str, Any] | None = None,
        identity: Any = None,
    ) -> None:
        if isinstance(prompt, str):
            messages: tuple[Message, ...] = ({"role": "user", "content": prompt},)
        else:
            # whoever reads rows of data may hand on anything
            messages = () if isinstance(prompt, (int, float, type(None))) else tuple(prompt)
            if not messages or not all("role" in m and "content" in m for m in messages):
                raise ValueError(
                    "a prompt is a string or chat messages, each with a role and content"
                )
        object.__setattr__(self, "prompt", messages)
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "metadata", dict(metadata or {}))
        object.__setattr__(self, "identity", identity)

    @cached_property
    def key(self) -> str:
        """A stable hash of the task's content: 32 hexadecimal digits."""
        content = self.identity if self.identity is not None else [self.prompt, self.answer]
        try:
            text = _CONTENT.encode(content)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"a task's prompt and answer must be what JSON can hold ({error}); "
                "pass Task(..., identity=...) to name the task by something else"
            ) from None
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def split(self) -> Split:
        """The split this task belongs to."""
        return split_of(self.key)

    @property
    def question(self) -> str:
        """The text of the last message of the prompt."""
        return str(self.prompt[-1]["content"])

    def __hash__(self) -> int:
        return hash(self.key)


def split_of(key: str) -> Split:
    """Return the split of a task key: 80% train, 10% validation, 10% test.

    Args:
        key: `Task.key`.
    """
    place = int(key[:13], 16) / 16**13
    if place < _HELD_OUT_SHARE:
        return "test"
    return "validation" if place < 2 * _HELD_OUT_SHARE else "train"


def place_in_split(key: str) -> float:
    """Return where a task stands among those of its split, from 0 to 1, by its content.

    Args:
        key: `Task.key`.
    """
    return int(key[13:26], 16) / 16**13  # other digits than those that decide the split


def check_split(split: str) -> Split:
    """Return the split, or raise a `UserError` if there is none of that name."""
    if split not in SPLITS:
        raise UserError(
            f"{split!r} is not a split; there are {', '.join(SPLITS)}.{did_you_mean(split, SPLITS)}"
        )
    return split


class TaskSet:
    """The tasks of one split. Sample from it, index it, and take its length where it is finite.

    Attributes:
        split: `train`, `validation` or `test`.
        fingerprint: a hash that changes when the tasks do; results name it.
    """

    split: Split
    fingerprint: str

    def sample(self, rng: random.Random) -> Task:
        """Draw a task."""
        raise NotImplementedError

    def sample_many(self, count: int, *, seed: int) -> list[Task]:
        """Draw tasks; the same ones each time for a seed.

        Args:
            count: how many.
            seed: of the draw, such as the number of a training step.

        Example:
            >>> tasks = env.tasks.for_training().sample_many(64, seed=step)
        """
        rng = random.Random(f"sample_many/{seed}")
        return [self.sample(rng) for _ in range(count)]

    def __getitem__(self, index: int) -> Task:
        """The task of that number; the same on every machine."""
        raise NotImplementedError

    def __bool__(self) -> bool:
        return True

    def distinct(self, count: int) -> list[Task]:
        """Return up to `count` tasks with different keys, in order of their index.

        Fewer come back where the split holds fewer. They are looked for once: held-out evaluation
        asks for the same ones again and again.
        """
        known: dict[int, list[Task]] = self.__dict__.setdefault("_distinct", {})
        if count not in known:
            known[count] = self._find_distinct(count)
        return list(known[count])

    def _find_distinct(self, count: int) -> list[Task]:
        found: dict[str, Task] = {}
        misses = 0  # in a row: an endless set that makes few different tasks must end too
        for task in self:
            if task.key in found:
                misses += 1
                if misses > 200 + 2 * len(found):
                    break
                continue
            misses = 0
            found[task.key] = task
            if len(found) == count:
                break
        return list(found.values())

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks in order of their index; without end where the set has none."""
        index = 0
        while True:
            try:
                yield self[index]
            except IndexError:
                return
            index += 1

    def for_training(self) -> TaskSet:
        """Return this set if it may be trained on.

        Raises:
            HeldOutError: it is a held-out split.
        """
        if self.split != "train":
            raise HeldOutError(
                f"the {self.split} split is held out and can't be trained on; use split='train'"
            )
        return self

    def part(self, low: float, high: float) -> TaskSet:
        """Return the tasks of a part of this set, such as the first half, by their content.

        Args:
            low: where it begins, see `place_in_split`.
            high: where it ends.
        """
        return self if (low, high) == (0, 1) else PartOfTasks(self, low, high)


class PartOfTasks(TaskSet):
    """A part of the tasks of a set.

    Args:
        whole: the set.
        low: where the part begins, see `place_in_split`.
        high: where it ends, above `low`.
    """

    def __init__(self, whole: TaskSet, low: float, high: float) -> None:
        self.split = whole.split
        self.fingerprint = _digest(["part", whole.fingerprint, low, high])
        self._whole, self._low, self._high = whole, low, high
        self._tasks = self._find()
        self._known: list[Task] = []

    def __contains__(self, task: Task) -> bool:
        return self._low <= place_in_split(task.key) < self._high

    def _find(self) -> Iterator[Task]:
        misses = 0
        for task in self._whole:
            if task in self:
                misses = 0
                yield task
            elif (misses := misses + 1) == _MAX_DRAWS:
                raise self._too_small()

    def sample(self, rng: random.Random) -> Task:
        """Draw a task.

        Raises:
            UserError: the part holds too few of the tasks.
        """
        for _ in range(_MAX_DRAWS):
            task = self._whole.sample(rng)
            if task in self:
                return task
        raise self._too_small()

    def _too_small(self) -> UserError:
        return UserError(
            f"no task of the part from {self._low:g} to {self._high:g} came up in {_MAX_DRAWS:,} "
            "draws; make it larger"
        )

    def __getitem__(self, index: int) -> Task:
        while len(self._known) <= index:
            task = next(self._tasks, None)
            if task is None:
                raise IndexError(index)
            self._known.append(task)
        return self._known[index]


class GeneratedTasks(TaskSet):
    """Tasks made by a function of a random generator, without end.

    Args:
        generate: makes one task from a `random.Random`; tasks of other splits are drawn again.
        split: the split to keep.
        name: names the generator and its options in the fingerprint.
    """

    def __init__(
        self, generate: Callable[[random.Random], Task], *, split: str = "train", name: str = ""
    ) -> None:
        self.split = check_split(split)
        self._generate = generate
        self._name = name
        self.fingerprint = _digest(["generated", name, self.split])

    def sample(self, rng: random.Random) -> Task:
        """Draw a task of this split.

        Raises:
            UserError: the generator makes too few different tasks to reach this split.
        """
        for _ in range(_MAX_DRAWS):
            task = made_task(self._generate, rng)
            if task.split == self.split:
                return task
        raise UserError(
            f"{self._name or 'the generator'} made no task of the {self.split} split in "
            f"{_MAX_DRAWS:,} draws: it makes too few different tasks"
        )

    def __getitem__(self, index: int) -> Task:
        if index < 0:
            raise IndexError("a generated set has no end to count back from")
        return self.sample(random.Random(f"{self.fingerprint}/{index}"))


class RowTasks(TaskSet):
    """Tasks made from rows of data; rows keep their split when the file is reordered or grows.

    Args:
        rows: the data.
        to_task: makes a task from a row.
        split: the split to keep.
        place: says which split a task belongs to, where that is not up to its key alone; equal
            keys must get equal splits.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        to_task: Callable[[Mapping[str, Any]], Task],
        *,
        split: str = "train",
        place: Callable[[Task], str] = lambda task: task.split,
    ) -> None:
        self.split = check_split(split)
        made = (made_task(to_task, row, number) for number, row in enumerate(rows, 1))
        self._tasks = [task for task in made if place(task) == self.split]
        self.fingerprint = _digest(["rows", self.split, sorted(task.key for task in self._tasks)])

    def sample(self, rng: random.Random) -> Task:
        """Draw a task.

        Raises:
            UserError: no row falls into this split.
        """
        if not self._tasks:
            raise UserError(f"no row falls into the {self.split} split; more rows are needed")
        return rng.choice(self._tasks)

    def __getitem__(self, index: int) -> Task:
        return self._tasks[index]

    def __len__(self) -> int:
        return len(self._tasks)


def made_task(author: Callable[[Any], Task], source: Any, row: int | None = None) -> Task:
    """Return the task that an author's function makes.

    Args:
        author: the function.
        source: what it is called with: a random generator, or a row of data.
        row: the number of the row, for messages.

    Raises:
        UserError: it raises, or returns something else.
    """
    try:
        task = author(source)
        if isinstance(task, Task):
            task.key  # noqa: B018 is worked out once, and fails for what JSON can't hold
            return task
        why = f"must return an rlenv.Task, not {task!r}"
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{_named(author, row)} failed: {cause(error)}") from error
    raise UserError(f"{_named(author, row)} {why}")


def _named(author: Callable[..., Any], row: int | None) -> str:
    name = getattr(author, "__qualname__", repr(author))
    return name if row is None else f"{name}, given row {row},"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
