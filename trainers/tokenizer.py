"""Stage `tokenizer`: learn a vocabulary from the corpus."""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal

from pydantic import Field

from rlenv.chat_template import how_to_call
from rlenv.config import EnvSettings, Settings
from rlenv.demonstrations import demonstrate
from rlenv.env import TextEnv
from rlenv.models.tokenizer import character_tokenizer
from rlenv.run_folder import folder_atomically
from rlenv.stage import Artifact, Context, Stage
from trainers.data import corpus


class TokenizerSettings(Settings):
    """Settings of the stage.

    Attributes:
        vocabulary: `characters` makes one token a character.
        corpus: the sources to learn it from.
        max_length: the longest sequence, in tokens, of the models that will use it.
    """

    vocabulary: Literal["characters"] = "characters"
    corpus: list[str] = Field(default=["python_topics", "tasks"], min_length=1)
    max_length: int = Field(256, ge=8)


class TokenizerStage(Stage[TokenizerSettings]):
    """Learn a vocabulary and save it with special tokens and a chat template."""

    needs: ClassVar[Artifact] = "nothing"
    gives: ClassVar[Artifact] = "tokenizer"
    Settings = TokenizerSettings

    def check(self, env: EnvSettings, source: str | None) -> None:
        """See `Stage.check`."""
        for name in self.settings.corpus:
            corpus.check_source(name)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        return f"one token a character, from {', '.join(self.settings.corpus)}", "-"

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        texts = [
            text
            for name in self.settings.corpus
            for text in corpus.documents(name, context.env, seed=context.seed, tasks=1000)
        ]
        texts += _conversations(context.make_env("train"))
        tokenizer = character_tokenizer(texts, max_length=self.settings.max_length)
        with folder_atomically(context.out) as folder:
            tokenizer.save_pretrained(folder)
        context.log(1, {"vocabulary": len(tokenizer), "characters": sum(map(len, texts))})


def _conversations(env: TextEnv, count: int = 1000) -> list[str]:
    """Return what the environment and an expert say, so that the vocabulary covers it."""
    texts = []
    for number, task in enumerate(itertools.islice(env.tasks.for_training(), count)):
        shown = demonstrate(env, task, seed=number)
        messages = env.opening(task) if shown is None else shown.messages
        texts += [str(message["content"]) for message in messages]
        texts += [how_to_call(message["tools"]) for message in messages if "tools" in message]
    return texts
