"""Wordle: find a secret word from what guesses are told."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from string import ascii_lowercase
from typing import Any

from rich.text import Text

import rlenv
from rlenv import parsing
from rlenv.core.episode import StepResult
from rlenv.core.task import Message, RowTasks, TaskSet
from rlenv.environments.wordle import words as wordle_words
from rlenv.environments.wordle.feedback import GREEN, YELLOW, feedback
from rlenv.environments.wordle.players import Solver
from rlenv.environments.wordle.told import as_tiles, known, with_letters
from rlenv.environments.wordle.words import Words

_MARKED = "G if it stands there in the secret, Y if it stands elsewhere, X if not, or not as often."
_COMES = {  # what is told, by how
    "letters": f"Each of its letters comes back with a mark: {_MARKED}",
    "marks": f"A mark comes back for each of its letters: {_MARKED}",
    "tiles": (
        "Its letters come back: in upper case where it stands there in the secret, in a circle "
        "if it stands elsewhere, in brackets if not, or not as often."
    ),
    "known": (
        "What follows from all guesses so far comes back: letters that the secret has not; then, "
        "in upper case, letters whose place is not known; then its places, each with its letter "
        "in upper case, or with the last letter that is in the secret but not there, or _."
    ),
}
_COLOURS = {GREEN: "bold white on #538d4e", YELLOW: "bold white on #b59f3b"}
_GREY_TILE = "bold white on #3a3a3c"
_LISTED = 8  # words, in a line of text for pretraining


class Wordle(rlenv.TextEnv):
    """Find a secret word in six guesses.

    A reply is one word, alone or as `<guess>crane</guess>`. Each letter of the guess comes back
    with a mark, `cX rY aG nX eX`: G stands there in the secret, Y elsewhere, X nowhere or not as
    often. A reply that is no allowed word of the right length is told so and uses up a guess.

    The secret is the task, so held-out secrets are never played in training. The reward's
    components, each at most 1 in an episode: `solved`; `left`, the share of guesses not needed;
    `information`, the share of guesses that agree with all feedback before them; `valid`, the
    share that are allowed words. Guesses not needed count as good ones, so no game pays for
    being drawn out.

    Args:
        length: of the words.
        guesses: in a game.
        secrets: a file of secret words; by default the 2,315 of the game, or for other lengths
            than 5 English words.
        allowed: a file of words that may be guessed besides; `secrets` for none; by default
            English words.
        shaping: give all components of the rubric their weight; without, only `solved` counts.
        end_on_invalid: a reply that is no allowed word ends the game.
        instructions: the opening tells the rules, and answers count the guesses left. Without, it
            is `Wordle 5` and what a guess is told alone, for policies that learned from
            demonstrations.
        told: what a guess is told: each of its letters with its mark beside it (`letters`), or
            the marks alone, `XYGXX` (`marks`), or one character for both, `⒞ⓡA⒩⒠` (`tiles`), with
            `?????` for a reply that is no allowed word; or what follows from all guesses so far,
            `is AR ra__E` (`known`, see `known` here).
        expert: the words of the solver that demonstrates: `training` for the secrets of the train
            split alone, `allowed` for all that may be guessed. The first says the secret at the
            last guess. The second never looks at it, and so may lose: what it says depends on what
            it was told alone, and its games do not tell which words are training secrets.
        breadth: of the words left it weighs so many, drawn at random, and says the one that should
            tell most: it plays well, and a secret in many ways. With 1 it says any of them, which
            shows a policy more of the states that weaker play leads to.
        first: words that it guesses first, whatever it is told.
        **kwargs: see `rlenv.TextEnv`.

    Raises:
        rlenv.UserError: an option that makes no sense.

    Example:
        >>> env = rlenv.make("rlenv/Wordle-v0")
        >>> opening, info = env.reset(seed=0)
        >>> marks, reward, terminated, truncated, info = env.step("crane")
    """

    rubric = rlenv.Rubric(solved=1.0, left=0.1, information=0.1, valid=0.1)
    reward_range = (0.0, 1.3)

    def __init__(
        self,
        *,
        length: int = 5,
        guesses: int = 6,
        secrets: str | None = None,
        allowed: str | None = None,
        shaping: bool = True,
        end_on_invalid: bool = False,
        instructions: bool = True,
        told: str = "letters",
        expert: str = "training",
        breadth: int = 8,
        first: Sequence[str] = (),
        rubric: rlenv.Rubric | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if guesses < 1:
            raise rlenv.UserError(f"guesses is at least 1, not {guesses}")
        if told not in _COMES:
            raise rlenv.UserError(f"told is one of {', '.join(_COMES)}, not {told!r}")
        if expert not in ("training", "allowed"):
            raise rlenv.UserError(f"expert is training or allowed, not {expert!r}")
        if breadth < 1:
            raise rlenv.UserError(f"breadth is at least 1, not {breadth}")
        if not shaping:
            if rubric is not None:
                raise rlenv.UserError("shaping=False is a rubric of its own; leave out one of them")
            rubric = {name: float(name == "solved") for name in self.rubric.weights}
        super().__init__(rubric=rubric, **{"max_turns": guesses, **kwargs})
        self.solved_at = _solved_at(self.rubric)  # type: ignore[misc]
        self.length, self.guesses = length, guesses
        self.end_on_invalid, self.instructions, self.told = end_on_invalid, instructions, told
        if told == "tiles":
            self.characters = "".join(as_tiles(ascii_lowercase, mark * 26) for mark in "XYG")
        self.words: Words = wordle_words.load(length, secrets, allowed)
        self.expert = expert
        self.first = [first] if isinstance(first, str) else list(first)
        for word in self.first:
            if word not in self.words.allowed:
                raise rlenv.UserError(f"first names words that may be guessed, not {word!r}")
        self._expert = partial(_solver, expert, breadth, length, secrets, allowed)
        self._history: list[tuple[str, str]] = []
        self._used = 0
        self._luck: int | None = None  # decides how the expert plays this episode

    def make_tasks(self, split: str) -> TaskSet:
        """Return a task for each secret of a split."""
        rows = [{"secret": secret} for secret in self.words.secrets]
        return RowTasks(rows, self.from_row, split=split)

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a secret."""
        secret = str(row["secret"])
        return rlenv.Task(self._question(), answer=secret, identity=wordle_words.identity(secret))

    def _question(self) -> str:
        if not self.instructions:
            return f"Wordle {self.length}"
        return (
            f"Find the secret word of {self.length} letters in {self.guesses} guesses. Reply with "
            f"one English word, alone or as <guess>...</guess>. {_COMES[self.told]} "
            "A reply that is no such word uses up a guess."
        )

    def start(self, task: rlenv.Task) -> None:
        """Begin a game."""
        self._history = []
        self._used = 0
        self._luck = None

    def respond(self, task: rlenv.Task, reply: str) -> StepResult:
        """Mark a guess."""
        guess = read_guess(reply, self.length)
        self._used += 1
        if guess is None or guess not in self.words.allowed:
            return self._refuse(task, guess)
        agrees = all(feedback(before, guess) == marks for before, marks in self._history)
        marks = feedback(guess, task.answer)
        self._history.append((guess, marks))
        solved = guess == task.answer
        return self._answer(
            task,
            self._tell(guess, marks),
            self._reward(solved=solved, agrees=agrees, valid=True),
            over=solved,
        )

    def _tell(self, guess: str, marks: str) -> str:
        if self.told == "known":
            return known(self._history, self.length)
        if self.told == "tiles":
            return as_tiles(guess, marks)
        return marks if self.told == "marks" else with_letters(guess, marks)

    def _refuse(self, task: rlenv.Task, guess: str | None) -> StepResult:
        reward = self._reward(
            solved=False, agrees=False, valid=False, status="ok" if guess else "unparseable"
        )
        why = "not an allowed word" if guess else f"not one word of {self.length} letters"
        if self.told != "letters":
            why = (
                f"?{known(self._history, self.length)}"
                if self.told == "known"
                else "?" * self.length
            )
        return self._answer(task, why, reward, over=self.end_on_invalid)

    def _reward(
        self, *, solved: bool, agrees: bool, valid: bool, status: Any = "ok"
    ) -> rlenv.Reward:
        left = self.guesses - self._used if solved else 0
        share = 1 / self.guesses
        measured = {
            "solved": float(solved),
            "left": left / max(1, self.guesses - 1),
            "information": share * (agrees + left),
            "valid": share * (valid + left),
        }
        return self.rubric({name: measured[name] for name in self.rubric.weights}, status=status)

    def _answer(
        self, task: rlenv.Task, text: str, reward: rlenv.Reward, *, over: bool
    ) -> StepResult:
        left = self.guesses - self._used
        if reward.components.get("solved"):
            return rlenv.done(text, reward)
        if over or left == 0:
            return rlenv.done(f"{text}\nThe word was {task.answer}.", reward)
        if self.instructions:
            text += f"\n{left} {'guess' if left == 1 else 'guesses'} left."
        return rlenv.turn(text, reward)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        """Return what a solver would guess, one of its good guesses drawn by the episode's seed."""
        used = _replies(messages)
        if (known := self._certain(task, used)) is not None:
            return known
        if self._luck is None:
            self._luck = self.random.getrandbits(32)
        rng = random.Random(f"{self._luck}/{used}")
        return self._expert()(self._history, rng) or str(task.answer)

    def choices(self, task: rlenv.Task, messages: Sequence[Message]) -> Mapping[str, float] | None:
        """Return how likely each guess of the solver is; not known where `breadth` weighs some."""
        if (known := self._certain(task, _replies(messages))) is not None:
            return {known: 1.0}
        found = self._expert().choices(self._history)
        return {str(task.answer): 1.0} if found is not None and not found else found

    def _certain(self, task: rlenv.Task, used: int) -> str | None:
        """Return what the solver says whatever it was told, where that is so."""
        if used == self.guesses - 1 and self.expert == "training":
            return str(task.answer)
        return self.first[used] if used < len(self.first) else None

    def text(self, task: rlenv.Task) -> str:
        """Return a list of words that the expert knows."""
        known = self._expert().words
        rng = random.Random(task.key)
        words = rng.sample(known, min(_LISTED, len(known)))
        if self.expert == "training":
            words.insert(rng.randrange(len(words) + 1), str(task.answer))
        return " ".join(words)

    def styled(self, message: Message) -> Text | None:
        """Return marks as coloured tiles, which hold the marks too: not everybody sees colours."""
        first, _, rest = str(message["content"]).partition("\n")
        if (
            message["role"] != "user"
            or not self._history
            or first != self._tell(*self._history[-1])
        ):
            return None
        tiles = Text()
        for letter, mark in zip(*self._history[-1], strict=True):
            tiles.append(f" {letter.upper()} {mark} ", _COLOURS.get(mark, _GREY_TILE)).append(" ")
        return tiles.append(f" {rest}")


def _replies(messages: Sequence[Message]) -> int:
    return sum(message["role"] == "assistant" for message in messages)


def read_guess(reply: str, length: int) -> str | None:
    """Return the one word that a reply guesses, in lower case; None where it is not one.

    Args:
        reply: a policy's whole reply. What it thinks in `<think>` tags does not count.
        length: of the words.
    """
    word = reply
    if "<" in reply:
        said = parsing.after_thinking(reply)
        if said is None:
            return None
        tagged = parsing.tag(said.text, "guess")
        if tagged is not None and set(tagged.problems) - {"repeated"}:
            return None
        word = said.text if tagged is None else tagged.text
    word = word.strip().lower()
    return word if len(word) == length and word.isascii() and word.isalpha() else None


@lru_cache(maxsize=4)  # shared by all environments of a process
def _solver(which: str, breadth: int, *lists: Any) -> Solver:
    words = wordle_words.load(*lists)
    known = words.training if which == "training" else sorted(words.allowed)
    return Solver(known, breadth=breadth)


def _solved_at(rubric: rlenv.Rubric) -> float:
    """Return the least that a solved game earns, where that is more than any other one does."""
    solved = rubric.weights.get("solved", 0.0)
    if solved <= sum(w for name, w in rubric.weights.items() if name in ("information", "valid")):
        raise rlenv.UserError(
            f"{rubric} pays as much for guesses as for solving; give solved more weight than "
            "information and valid have together"
        )
    return solved
