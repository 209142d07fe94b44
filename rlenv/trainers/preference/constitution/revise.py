"""Stage `revise`: a model criticises and revises its own replies, and learns the revisions.

The supervised stage of constitutional AI (Bai et al. 2022, section 3): for a prompt the policy
replies; a principle is drawn, the reply is criticised by it and written anew, some times over; the
policy is then fine-tuned on what came out, as the reply to the prompt itself.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import Field

from rlenv.common.errors import RunFailed
from rlenv.common.files import clear, write_atomically
from rlenv.core import registry
from rlenv.core.task import Message
from rlenv.engines.base import mix
from rlenv.engines.chat import ChatModel, ChatModelSettings, ChatReply
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.models.chat_models import LocalChatModel, load_chat_model
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.common import trl_stage
from rlenv.trainers.preference.constitution import principles
from rlenv.trainers.preference.constitution.principles import Constitution
from rlenv.trainers.preference.data import draw
from rlenv.trainers.sft import fit
from rlenv.trainers.sft.rows import IGNORED, TokenRow
from rlenv.trainers.sft.settings import FitSettings
from rlenv.trainers.sft.validation import PolicyEvaluator

_KEPT = "revisions.jsonl"


class ReviseSettings(FitSettings):
    """Settings of the stage.

    Attributes:
        constitution: a YAML file of principles; the one that comes with rlenv if left out.
        prompts: how many prompts, drawn from the environment's train split.
        rounds: critiques and revisions of a reply, each by a principle drawn anew.
        critic: the model that criticises and revises; the policy itself if left out.
        temperature: the policy samples with.
        max_tokens: of a reply, a critique and a revision each.
        eval_every: steps between evaluations on the environment's validation split.
        eval_tasks: how many tasks they play; 0 plays none.
    """

    constitution: str | None = None
    prompts: int = Field(512, ge=1)
    rounds: int = Field(2, ge=1)
    critic: ChatModelSettings | None = None
    temperature: float = Field(1.0, ge=0)
    max_tokens: int = Field(256, ge=1)
    eval_every: int = Field(50, ge=1)
    eval_tasks: int = Field(0, ge=0)


@dataclass
class Revised:
    """A reply and what became of it.

    Attributes:
        prompt: chat messages.
        replies: the first one, then each revision.
        critiques: what was said of each but the last.
        principles: the name of what it was criticised by.
        problem: why it can't be learned from; empty if it can.
    """

    prompt: list[Message]
    replies: list[str] = field(default_factory=list)
    critiques: list[str] = field(default_factory=list)
    principles: list[str] = field(default_factory=list)
    problem: str = ""

    def take(self, said: ChatReply, into: list[str], what: str) -> None:
        """Take down what was said, or why it is of no use."""
        if said.problem or not said.text.strip():
            self.problem = self.problem or f"{what} {said.problem or 'is empty'}"
        into.append(said.text)


class ReviseStage(Stage[ReviseSettings]):
    """Fine-tune on a model's revisions of its own replies."""

    needs: ClassVar[Artifact] = "chat model"
    gives: ClassVar[Artifact] = "chat model"
    Settings = ReviseSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        principles.load(self.settings.constitution)
        assert env is not None
        registry.make(env.id, split="train", **env.options).tasks.for_training()

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        who = "itself" if s.critic is None else s.critic.model
        return f"revise {s.prompts:,} replies {s.rounds} times, by {who}", f"{self.steps()} steps"

    def steps(self) -> int:
        """See `Stage.steps`."""
        return self.settings.steps(self.settings.prompts)

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        torch.manual_seed(context.seed)
        model, tokenizer = checkpoint.load(context.source, device=context.device)
        chat = ChatFormat(tokenizer, context.source)
        revised = self._revise(context, model, tokenizer)
        rows = self._rows(revised, chat, checkpoint.context_length(model, tokenizer), context)
        model = fit.prepare(model, chat, s, context.seed)
        player = None
        if s.eval_tasks:
            player = PolicyEvaluator(
                context, model, chat, tasks=s.eval_tasks, max_tokens=s.max_tokens
            )

        def measure() -> dict[str, float]:
            return {} if player is None else player.metrics()

        trainer = fit.make_trainer(s, context, model, tokenizer, rows)
        trl_stage.fit(trainer, context, evaluate=measure, eval_every=s.eval_every)
        fit.save(model, tokenizer, s, context.out)
        lines = (json.dumps(vars(one), ensure_ascii=False) + "\n" for one in revised)
        write_atomically(context.out / _KEPT, "".join(lines))
        clear(context.state)

    def _revise(self, context: Context, model: Any, tokenizer: Any) -> list[Revised]:
        s = self.settings
        own = ChatModelSettings(
            model=str(context.source), temperature=s.temperature, max_tokens=s.max_tokens
        )
        policy = LocalChatModel(model, tokenizer, own)
        env = context.make_env("train")
        tasks = draw(env, "train", s.prompts, context.seed)
        return revise(
            [[dict(message) for message in env.opening(task)] for task in tasks],
            policy,
            policy if s.critic is None else load_chat_model(s.critic),
            principles.load(s.constitution),
            rounds=s.rounds,
            seed=context.seed,
        )

    def _rows(
        self, revised: list[Revised], chat: ChatFormat, longest: int, context: Context
    ) -> list[TokenRow]:
        """Return what to learn, after telling what was left out."""
        rows: list[TokenRow] = []
        left_out: Counter[str] = Counter()
        for one in revised:
            ids, mask = chat.solved(one.prompt, one.replies[-1])
            problem = one.problem or (f"longer than {longest} tokens" if len(ids) > longest else "")
            if problem:
                left_out[problem] += 1
                continue
            labels = [token if on else IGNORED for token, on in zip(ids, mask, strict=True)]
            rows.append({"input_ids": ids, "labels": labels})
        words = "".join(f"; {count:,} left out: {why}" for why, count in left_out.most_common(4))
        context.display.say(f"{context.stage:<9} {len(rows):,} revisions{words}")
        if not rows:
            raise RunFailed(f"no reply was revised, so there is nothing to learn{words}")
        return rows


def revise(
    prompts: list[list[Message]],
    policy: ChatModel,
    critic: ChatModel,
    constitution: Constitution,
    *,
    rounds: int,
    seed: int,
) -> list[Revised]:
    """Let a policy reply, and a critic criticise and revise its replies.

    Args:
        prompts: chat messages each.
        policy: who replies.
        critic: who criticises and revises.
        constitution: the principles, of which each round draws one for each reply.
        rounds: critiques and revisions of a reply.
        seed: of what is sampled and drawn.
    """
    rng = random.Random(f"constitution/{seed}")
    every = [Revised(prompt) for prompt in prompts]
    for one, said in zip(every, policy.reply(prompts, mix(seed, 0)), strict=True):
        one.take(said, one.replies, "the reply")
    for number in range(rounds):
        drawn = [constitution.draw(rng) for _ in every]
        asked = [
            [*one.prompt, _assistant(one.replies[-1]), _user(principle.asks_critique)]
            for one, principle in zip(every, drawn, strict=True)
        ]
        critiques = critic.reply(asked, mix(seed, 1, number))
        for one, principle, said in zip(every, drawn, critiques, strict=True):
            one.take(said, one.critiques, "the critique")
            one.principles.append(principle.name)
        asked = [
            [*conversation, _assistant(one.critiques[-1]), _user(principle.asks_revision)]
            for one, conversation, principle in zip(every, asked, drawn, strict=True)
        ]
        for one, said in zip(every, critic.reply(asked, mix(seed, 2, number)), strict=True):
            one.take(said, one.replies, "the revision")
    return every


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
