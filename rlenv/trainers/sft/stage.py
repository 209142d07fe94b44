"""Stage `sft`: supervised fine-tuning, with the loss on the replies alone.

Conversations come from files, or from the environment: a demonstration is a whole episode of a
training task, as the environment's expert plays it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from rlenv.common.errors import RunFailed, UserError
from rlenv.common.files import clear
from rlenv.core import registry
from rlenv.data.pipeline import corpus
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.demonstrations import demonstrate
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.common import trl_stage
from rlenv.trainers.common.validation import BestCheckpoint
from rlenv.trainers.sft import fit, rows, validation
from rlenv.trainers.sft.demonstrations import demonstrations
from rlenv.trainers.sft.rows import Conversations, SourceReport, TokenRow
from rlenv.trainers.sft.settings import DEMONSTRATIONS, SFTSettings
from rlenv.trainers.sft.templates import check_template, give_template


class SFTStage(Stage[SFTSettings]):
    """Fine-tune on conversations of files, and on what the environment demonstrates."""

    needs: ClassVar[Artifact] = "model"
    gives: ClassVar[Artifact] = "chat model"
    Settings = SFTSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        for file in self.settings.files:
            rows.open_source(file)
        for text in self.settings.text:
            corpus.check_source(text, env)
        if self.settings.stop_at is not None and env is None:
            raise UserError("sft.stop_at is a reward, so it needs an env to earn it in")
        if self.settings.keep_best and env is None:
            raise UserError("sft.keep_best goes by a reward, so it needs an env to earn it in")
        if self.settings.chat_template is not None:
            check_template(self.settings.chat_template)
        if not self.settings.demonstrates:
            return
        if env is None:
            raise UserError(
                "sft has nothing to learn from: set sft.data to files of conversations, or env to "
                "an environment that demonstrates"
            )
        made = registry.make(env.id, split="train", **env.options)
        task = made.tasks.for_training()[0]
        shown = demonstrate(made, task, seed=0, choices=self.settings.soft_targets)
        if shown is None:
            raise UserError(f"{env.id} demonstrates nothing, so sft has nothing to learn from")
        if self.settings.soft_targets and not any(shown.choices):
            raise UserError(
                f"{env.id} as it is set does not tell how likely its expert's replies are "
                "(choices), which sft.soft_targets needs; leave that out"
            )

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        count = sum(round(f.weight * len(rows.open_source(f)[0])) for f in s.files)
        what = [f"{count:,} rows of conversations"] if s.files else []
        what += [f"{s.demonstrations:,} demonstrations"] if s.demonstrates else []
        until = "" if s.stop_at is None else f"until {s.stop_at:g} held-out, "
        epochs = f"{s.epochs} epochs" if s.epochs > 1 else "1 epoch"
        budget = epochs if s.files else f"{self.steps()} steps"
        return f"{' and '.join(what)}, loss on the replies", f"{until}{budget}"

    def steps(self) -> int:
        """See `Stage.steps`."""
        s = self.settings
        count = s.demonstrations if s.demonstrates else 0
        count += sum(round(f.weight * len(rows.open_source(f)[0])) for f in s.files)
        return s.steps(count)

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        model, tokenizer = checkpoint.load(context.source, device=context.device)
        if s.chat_template is not None:
            give_template(s.chat_template, model, tokenizer)
        chat = ChatFormat(tokenizer, context.source)
        s = s.model_copy(update={"max_length": fit.max_length(s, model, tokenizer)})
        made = _conversations(s, context, chat)
        model = fit.prepare(model, chat, s, context.seed)
        texts = _texts(s, context, tokenizer, made.rows)
        trainer = fit.make_trainer(s, context, model, tokenizer, [*made.rows, *texts])
        context.display.expect(s.steps(len(trainer.train_dataset)))
        best = BestCheckpoint(context.state) if s.keep_best else None
        evaluate = _evaluation(s, context, model, chat, made.held_out)
        trl_stage.fit(
            trainer,
            context,
            evaluate=evaluate,
            eval_every=s.eval_every,
            stop_when=lambda seen: s.stop_at is not None and seen["held_out/reward"] >= s.stop_at,
            best=best,
        )
        fit.save(model, tokenizer, s, context.out)
        if best is not None:
            best.write_metadata(context.out)
        _write_report(made.reports, context)
        clear(context.state)


def _conversations(s: SFTSettings, context: Context, chat: ChatFormat) -> Conversations:
    """Return the tokens of all sources, after telling what was dropped of them and why."""
    assert s.max_length is not None
    made = rows.tokenize(
        s.files, chat, max_length=s.max_length, held_out=s.held_out, seed=context.seed
    )
    for report in made.reports:
        for line in report.lines():
            context.display.say(line)
        if report.bad > s.max_bad * report.rows:
            raise RunFailed(
                f"{report.bad:,} of {report.rows:,} rows of {report.source} can't be used, for "
                f"the reasons above; mend them, or allow more with sft.max_bad"
            )
        if not report.used:
            raise RunFailed(f"{report.source} has no conversation to train on")
    for source in s.data:
        if source.path == DEMONSTRATIONS:
            shown = demonstrations(
                context.make_env("train"),
                chat,
                s.demonstrations,
                context.seed,
                lambda done: context.display.prepare(DEMONSTRATIONS, done, s.demonstrations),
                s.task_range,
                soft=s.soft_targets,
            )
            made.rows += rows.weighted(shown, source.weight, f"{DEMONSTRATIONS}/{context.seed}")
    return made


def _texts(
    s: SFTSettings, context: Context, tokenizer: Any, learned: list[TokenRow]
) -> list[TokenRow]:
    """Return rows of plain text, `text_share` of all tokens."""
    if not s.text:
        return []
    assert s.max_length is not None
    texts = [
        text
        for name in s.text
        for text in corpus.documents(name, context.env, seed=context.seed, tasks=10_000)
    ]
    tokens = sum(len(row["input_ids"]) for row in learned)
    wanted = round(s.text_share / (1 - s.text_share) * tokens)
    made = rows.from_texts(texts, tokenizer, length=s.max_length, tokens=wanted, seed=context.seed)
    got = sum(len(row["input_ids"]) for row in made)
    context.display.say(f"{', '.join(s.text)}: {got:,} tokens of text, learned whole")
    if got < wanted:
        context.warn(0, f"the texts are fewer than the {wanted:,} tokens of sft.text_share")
    return made


def _evaluation(
    s: SFTSettings, context: Context, model: Any, chat: ChatFormat, kept: list[TokenRow]
) -> Callable[[], dict[str, float]]:
    """Return what measures the model as it is fitted."""
    player = None
    if context.env is not None:
        player = validation.PolicyEvaluator(
            context,
            model,
            chat,
            tasks=s.eval_tasks,
            max_tokens=s.max_tokens,
            how=s.eval_sampling,
        )

    def evaluate() -> dict[str, float]:
        metrics = {}
        if kept:
            pad = chat.tokenizer.pad_token_id
            metrics["held_out/loss"] = validation.mean_loss(model, kept, pad)
        if player is not None:
            metrics |= player.metrics()
        return metrics

    return evaluate


def _write_report(reports: list[SourceReport], context: Context) -> None:
    if reports:
        plain = [report.plain() for report in reports]
        (context.out / "data_report.json").write_text(json.dumps(plain, indent=1))
