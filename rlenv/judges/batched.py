"""Many replies graded at once, and each content once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from rlenv.common.errors import UserError
from rlenv.core.task import Message
from rlenv.judges.judge import Grade, Judge

_REMEMBERED = 20_000  # grades
_Item = tuple[tuple[tuple[str, str], ...], str]  # a conversation, as roles and contents; a reply


class GradeCache:
    """Grades in a file, by a hash of what was judged, by whom and how.

    Several processes may share it.

    Args:
        path: the file; made where there is none.
        about: everything but the reply and its conversation that a grade depends on.

    Raises:
        UserError: it can't be opened.
    """

    def __init__(self, path: Path, about: str) -> None:
        self.path, self.about = path, about
        self._opened: tuple[int, sqlite3.Connection] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._database as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS grades (content TEXT PRIMARY KEY, share REAL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"the cache {path} can't be opened: {error}") from None

    @property
    def _database(self) -> sqlite3.Connection:
        """The file; a child process opens it anew."""
        if self._opened is None or self._opened[0] != os.getpid():
            connection = sqlite3.connect(self.path, timeout=30.0, check_same_thread=False)
            self._opened = os.getpid(), connection
        return self._opened[1]

    def get(self, item: _Item) -> Grade | None:
        """Return the grade of an item; None if it has none yet."""
        asked = "SELECT share FROM grades WHERE content = ?"
        found = self._database.execute(asked, (self._key(item),)).fetchone()
        return None if found is None else Grade(float(found[0]))

    def put(self, grades: Sequence[tuple[_Item, Grade]]) -> None:
        """Keep grades."""
        rows = [(self._key(item), grade.share) for item, grade in grades]
        with self._database as database:
            database.executemany("INSERT OR REPLACE INTO grades VALUES (?, ?)", rows)

    def _key(self, item: _Item) -> str:
        return hashlib.sha256(json.dumps([self.about, *item]).encode()).hexdigest()


class BatchedGrader:
    """Grades many replies at once: those that were announced wait until one is asked for.

    Args:
        judge: who grades.
        rubric: what a good reply is.
        scale: the lowest and the highest grade.
        cache: where grades are kept beyond this process.
    """

    def __init__(
        self, judge: Judge, rubric: str, scale: tuple[int, int], cache: GradeCache | None = None
    ) -> None:
        self.judge, self.rubric, self.scale, self.cache = judge, rubric, scale, cache
        self._known: dict[_Item, Grade] = {}
        self._waiting: dict[_Item, None] = {}

    def expect(self, messages: Sequence[Message], reply: str) -> None:
        """Grade this reply together with the next one that is asked for."""
        item = _item(messages, reply)
        if self._remembered(item) is None:
            self._waiting[item] = None

    def grade(self, messages: Sequence[Message], reply: str) -> Grade:
        """Return a grade. One that failed is asked for again the next time."""
        item = _item(messages, reply)
        known = self._remembered(item)
        if known is not None:
            return known
        batch = list(dict.fromkeys([item, *self._waiting]))
        self._waiting.clear()
        asked = [([{"role": r, "content": c} for r, c in said], text) for said, text in batch]
        grades = self.judge.grade(asked, self.rubric, self.scale)
        while len(self._known) + len(batch) > _REMEMBERED and self._known:
            self._known.pop(next(iter(self._known)))  # the oldest
        found = dict(zip(batch, grades, strict=True))
        good = {one: grade for one, grade in found.items() if not grade.problem}
        self._known.update(good)
        if self.cache is not None:
            self.cache.put(list(good.items()))
        return found[item]

    def _remembered(self, item: _Item) -> Grade | None:
        if item not in self._known and self.cache is not None:
            kept = self.cache.get(item)
            if kept is not None:
                self._known[item] = kept
        return self._known.get(item)


def _item(messages: Sequence[Message], reply: str) -> _Item:
    return tuple((str(m["role"]), str(m["content"])) for m in messages), reply
