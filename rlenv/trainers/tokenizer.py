"""Stage `tokenizer`: learn a vocabulary from the corpus."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rlenv.common.files import folder_atomically
from rlenv.common.settings import Settings
from rlenv.core.env import TextEnv
from rlenv.data.pipeline import corpus
from rlenv.models.chat_template import how_to_call
from rlenv.models.tokenizer import byte_tokenizer, character_tokenizer, tokenizer_report
from rlenv.rollouts.demonstrations import demonstrate
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage


class TokenizerSettings(Settings):
    """Settings of the stage.

    Attributes:
        vocabulary: `characters` makes one token a character; a number from 256 to 100,000 learns
            byte-level byte-pair encoding with so many tokens, the special ones on top.
        corpus: the sources to learn it from.
        max_length: the longest sequence, in tokens, of the models that will use it.
    """

    vocabulary: Literal["characters"] | Annotated[int, Field(ge=256, le=100_000)] = "characters"
    corpus: list[str] = Field(default=["python_topics", "tasks"], min_length=1)
    max_length: int = Field(256, ge=8)


class TokenizerStage(Stage[TokenizerSettings]):
    """Learn a vocabulary and save it with special tokens and a chat template."""

    needs: ClassVar[Artifact] = "nothing"
    gives: ClassVar[Artifact] = "tokenizer"
    Settings = TokenizerSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        for name in self.settings.corpus:
            corpus.check_source(name, env)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        kind = (
            "one token a character" if s.vocabulary == "characters" else f"{s.vocabulary:,} tokens"
        )
        return f"{kind}, from {', '.join(s.corpus)}", "-"

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        texts = [
            text
            for name in s.corpus
            for text in corpus.documents(name, context.env, seed=context.seed, tasks=1000)
        ]
        if context.env is not None:
            texts += _conversations(context.make_env("train"))
        if s.vocabulary == "characters":
            rare = "" if context.env is None else context.make_env("train").characters
            tried = texts
            tokenizer = character_tokenizer(texts, max_length=s.max_length, always=rare)
        else:
            learn, tried = _hold_out(texts)
            tokenizer = byte_tokenizer(learn, vocabulary=s.vocabulary, max_length=s.max_length)
        report = asdict(tokenizer_report(tokenizer, tried))
        with folder_atomically(context.out) as folder:
            tokenizer.save_pretrained(folder)
            (folder / "tokenizer_report.json").write_text(json.dumps(report, indent=1))
        context.log(1, {**report, "characters": sum(map(len, texts))})


def _hold_out(texts: list[str]) -> tuple[list[str], list[str]]:
    """Split off every twentieth text for the report; all serve twice where they are fewer."""
    if len(texts) < 20:
        return texts, texts
    return [text for i, text in enumerate(texts) if i % 20], texts[::20]


def _conversations(env: TextEnv, count: int = 1000) -> list[str]:
    """Return what the environment and an expert say, so that the vocabulary covers it."""
    texts = []
    for number, task in enumerate(itertools.islice(env.tasks.for_training(), count)):
        shown = demonstrate(env, task, seed=number)
        messages = env.opening(task) if shown is None else shown.messages
        texts += [str(message["content"]) for message in messages]
        texts += [how_to_call(message["tools"]) for message in messages if "tools" in message]
    return texts
