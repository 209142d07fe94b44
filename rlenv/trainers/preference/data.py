"""Where a stage's preferences come from: rows of data, or samples that an environment judges."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from pydantic import Field, model_validator

from rlenv.common.errors import UserError
from rlenv.common.settings import Settings
from rlenv.core.env import TextEnv
from rlenv.core.rows import load_rows
from rlenv.core.task import Split, Task
from rlenv.core.trajectory import Group
from rlenv.data.preferences import Labelled, Pair, Preferences, read
from rlenv.engines.base import Sampling
from rlenv.engines.chat import ChatModelSettings
from rlenv.judges.judge import Judge
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.models.chat_models import load_chat_model
from rlenv.models.checkpoint_folder import local_checkpoint
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Context
from rlenv.trainers.preference import rlaif, sampled, tokens
from rlenv.trainers.preference.constitution import principles
from rlenv.trainers.preference.tokens import TokenPair, TokenReply

HELD_OUT: tuple[Split, ...] = ("validation", "test")
_Item = TypeVar("_Item", Pair, Labelled)


class SampleSettings(Settings):
    """Pairs made by playing the run's environment.

    Attributes:
        tasks: of the train split to play.
        held_out: tasks of the validation split, for pairs that are not trained on.
        samples: replies a task, of which the best is paired with the worst.
        weak: a checkpoint. Then the model's one reply to a task is paired with this one's.
        judge: a model that chooses between two replies, in place of the environment's rewards.
        constitution: a YAML file of the principles that it chooses by; the one that comes with
            rlenv if left out.
        temperature: to sample with.
        max_tokens: of a reply.
    """

    tasks: int = Field(512, ge=1)
    held_out: int = Field(128, ge=1)
    samples: int = Field(8, ge=2)
    weak: str | None = None
    judge: ChatModelSettings | None = None
    constitution: str | None = None
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(256, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> SampleSettings:
        if self.weak is not None and self.judge is not None:
            raise ValueError("give either weak or judge: they are two ways to choose")
        if self.constitution is not None and self.judge is None:
            raise ValueError("a constitution needs a judge")
        return self


class PreferenceData(Settings):
    """Where preferences come from; give `rows` or `sample`.

    Attributes:
        rows: a file or a `datasets` id, see `rlenv.core.rows.load_rows` and
            `rlenv.data.preferences`.
        part: of a `datasets` id, such as `train`. The split into train and held-out pairs is by
            the content of the prompt, whatever the part.
        columns: what the columns are called there.
        sample: make pairs by playing.
        most: train on so many pairs, or labelled replies, only; drawn by the run's seed.
        max_bad: the stage is refused if a larger share of the rows can't be used. Of what is
            sampled any share may go.
    """

    takes_labelled: ClassVar[bool] = False

    rows: str | None = None
    part: str | None = None
    columns: dict[str, str] = Field(default={})
    sample: SampleSettings | None = None
    most: int | None = Field(None, ge=1)
    max_bad: float = Field(0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _one_of_them(self) -> PreferenceData:
        if (self.rows is None) == (self.sample is None):
            raise ValueError("give either rows, a file or a datasets id, or sample")
        return self

    def words(self) -> str:
        """Return what the data is, a few words."""
        if self.sample is None:
            return f"pairs of {self.rows}"
        if self.sample.judge:
            return f"samples that {self.sample.judge.model} chose from"
        return "strong against weak" if self.sample.weak else "best against worst of samples"


class ReplyData(PreferenceData):
    """Where replies come from that are good or bad by themselves: from pairs, or with labels."""

    takes_labelled: ClassVar[bool] = True

    def words(self) -> str:
        """See `PreferenceData.words`."""
        return f"replies of {self.rows}" if self.sample is None else super().words()


def check(data: PreferenceData, env: EnvSettings | None) -> None:
    """Raise a `UserError` for what would fail later, before anything is trained."""
    if data.sample is not None:
        if env is None:
            raise UserError("data.sample plays an environment; set env, see: rlenv list")
        if data.sample.judge is not None:
            principles.load(data.sample.constitution)
        if data.sample.weak is not None:
            local_checkpoint(data.sample.weak, needs_chat=True)
        return
    found = from_rows(data)
    if not found.of("train") and not found.labelled_of("train"):
        what = "replies" if found.unpaired else "pairs"
        raise UserError(f"{data.rows} has no {what} to train on: {found.summary()}")
    if len(found.of("train")) + len(found.labelled_of("train")) == 1:
        what = "reply" if found.unpaired else "pair"
        raise UserError(f"{data.rows} has only one {what} to train on; more are needed")
    _refuse_one_label([one.good for one in found.labelled_of("train")], data)


def _refuse_one_label(good: Sequence[bool], data: PreferenceData) -> None:
    """Raise a `UserError` if there are labels, and all are alike."""
    if len(set(good)) == 1:
        raise UserError(
            f"all {data.words()} to train on are labelled {str(good[0]).lower()}; both good and "
            "bad replies are needed"
        )


def expected_pairs(data: PreferenceData) -> int:
    """Return how many pairs a stage will train on, at most; known before anything runs."""
    if data.sample is not None:
        return min(data.sample.tasks, data.most or data.sample.tasks)
    count = len(from_rows(data).of("train"))
    return min(count, data.most or count)


def expected_replies(data: PreferenceData) -> int:
    """Return how many replies, judged one by one, a stage will train on, at most."""
    if data.sample is None and (count := len(from_rows(data).labelled_of("train"))):
        return min(count, data.most or count)
    return 2 * expected_pairs(data)


def from_rows(data: PreferenceData) -> Preferences:
    """Read the rows.

    Raises:
        UserError: they can't be read, are of a form the stage does not take, or too many are bad.
    """
    assert data.rows is not None
    found = read(load_rows(data.rows, part=data.part), data.columns)
    if found.unpaired and not data.takes_labelled:
        raise UserError(
            f"{data.rows} holds replies that are labelled one by one (prompt, completion, label), "
            "which only the stage kto learns from; this stage needs pairs (prompt, chosen, "
            "rejected)"
        )
    if found.unpaired and found.pairs:
        raise UserError(
            f"{data.rows} holds both pairs and replies that are labelled one by one; put them into "
            "files of their own"
        )
    refuse_bad(found, data)
    return found


def refuse_bad(found: Preferences, data: PreferenceData) -> None:
    """Raise a `UserError` if too many rows can't be used."""
    if data.sample is None and found.bad > data.max_bad:
        raise UserError(
            f"{found.bad:.0%} of {data.words()} can't be used, more than max_bad="
            f"{data.max_bad:g}: {found.summary()}"
        )


@dataclass(frozen=True)
class Gathered:
    """The preferences of a stage, as tokens.

    Attributes:
        found: all pairs, and what was left out.
        train: pairs to train on, in an order that the seed decides.
        held_out: pairs of other prompts.
        labelled, labelled_held_out: replies with labels, where these are given in place of pairs.
    """

    found: Preferences
    train: list[tuple[Pair, TokenPair]]
    held_out: list[tuple[Pair, TokenPair]]
    labelled: list[TokenReply] = field(default_factory=list)
    labelled_held_out: list[TokenReply] = field(default_factory=list)

    @property
    def can_measure(self) -> bool:
        """Whether anything was held out."""
        return bool(self.held_out or self.labelled_held_out)

    def record(self) -> dict[str, object]:
        """Return how many there are, and what was left out, as plain values."""
        train: Sequence[object] = self.train or self.labelled
        held_out: Sequence[object] = self.held_out or self.labelled_held_out
        left_out = dict(self.found.problems)
        return {"train": len(train), "held_out": len(held_out), "left_out": left_out}


def gather(data: PreferenceData, context: Context, model: Any, chat: ChatFormat) -> Gathered:
    """Return the preferences of a stage, and tell the user what was left out.

    Args:
        data: where they come from.
        context: of the stage.
        model: the causal LM that samples where they are sampled.
        chat: its chat format.

    Raises:
        UserError: too many can't be used, or none are left to train on.
    """
    s = data.sample
    found = from_rows(data) if s is None else sample(s, context, model, chat)
    longest = checkpoint.context_length(model, chat.tokenizer)
    gathered = Gathered(
        found,
        tokens.fitting(found, drawn_from(found.of("train"), data, context.seed), chat, longest),
        tokens.fitting(found, found.of(*HELD_OUT), chat, longest),
        tokens.fitting_labelled(
            found, drawn_from(found.labelled_of("train"), data, context.seed), chat, longest
        ),
        tokens.fitting_labelled(found, found.labelled_of(*HELD_OUT), chat, longest),
    )
    context.display.say(f"{context.stage:<9} {data.words()}: {found.summary()}")
    refuse_bad(found, data)
    if not gathered.train and not gathered.labelled:
        what = "replies" if found.unpaired else "pairs"
        raise UserError(f"{data.words()} gave no {what} to train on: {found.summary()}")
    _refuse_one_label([one.good for one in gathered.labelled], data)
    return gathered


def drawn_from(items: Sequence[_Item], data: PreferenceData, seed: int) -> list[_Item]:
    """Return those of the items to train on, in an order that the seed decides."""
    some = list(items)
    random.Random(f"preferences/{seed}").shuffle(some)
    return some[: data.most]


def sample(s: SampleSettings, context: Context, model: Any, chat: ChatFormat) -> Preferences:
    """Make pairs by playing tasks of the train split, and some of the validation split."""
    found = Preferences()
    for split, count in (("train", s.tasks), ("validation", s.held_out)):
        pool = EnvPool(lambda split=split: context.make_env(split))  # type: ignore[misc]
        tasks = draw(pool.take(1)[0], split, count, context.seed)
        made = _choose(s, context, pool, tasks, model, chat)
        for number, pair in enumerate(made.pairs, 1):
            found.add(pair, number)
        for reason, count in made.problems.items():
            found.problems[reason] += count
            found.examples.setdefault(reason, made.examples[reason])
    return found


def _choose(
    s: SampleSettings,
    context: Context,
    pool: EnvPool,
    tasks: list[Task],
    model: Any,
    chat: ChatFormat,
) -> Preferences:
    """Sample replies to tasks and pair them, the way that the settings name."""
    samples = 1 if s.weak else 2 if s.judge else s.samples
    groups = _play(s, pool, tasks, samples, model, chat, context.seed)
    if s.judge is not None:
        judge = Judge(load_chat_model(s.judge), seed=context.seed)
        constitution = principles.load(s.constitution)
        return rlaif.by_judge(groups, judge, constitution, seed=context.seed)
    if s.weak is None:
        return sampled.best_and_worst(groups)
    weak, tokenizer = checkpoint.load(s.weak, device=context.device)
    theirs = ChatFormat(tokenizer, s.weak)
    seed = context.seed + 1  # other random numbers than the strong model's
    return sampled.strong_and_weak(groups, _play(s, pool, tasks, 1, weak, theirs, seed))


def draw(env: TextEnv, split: str, count: int, seed: int) -> list[Task]:
    """Draw tasks of a split; those of the train split at random, the others from the first on."""
    if split != "train":
        return env.tasks.distinct(count)
    rng, tasks = random.Random(f"preference tasks/{seed}"), env.tasks.for_training()
    drawn: dict[str, Task] = {}
    for _ in range(4 * count):  # fewer come back where the environment has fewer
        task = tasks.sample(rng)
        drawn.setdefault(task.key, task)
        if len(drawn) == count:
            break
    return list(drawn.values())


def _play(
    s: SampleSettings,
    pool: EnvPool,
    tasks: list[Task],
    samples: int,
    model: Any,
    chat: ChatFormat,
    seed: int,
) -> list[Group]:
    return play(
        pool,
        checkpoint.engine_for(model, chat),
        chat,
        tasks,
        samples=samples,
        sampling=Sampling(temperature=s.temperature, max_tokens=s.max_tokens),
        seed=seed,
        max_length=checkpoint.context_length(model, chat.tokenizer),
    )
