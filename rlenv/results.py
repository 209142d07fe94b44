"""Evaluating a run's checkpoints side by side, and what is kept of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rlenv import registry
from rlenv.chat import ChatFormat
from rlenv.config import EvaluateSettings
from rlenv.display import Display
from rlenv.engines.base import Sampling
from rlenv.evaluation import Evaluation, evaluate
from rlenv.models import checkpoint
from rlenv.rollout import EnvPool
from rlenv.run_folder import RunFolder, write_atomically
from rlenv.stage import Interrupted, StopSignal

LABELS = {"pretrain": "base"}
_SHOWN_PROMPTS = 8


def evaluate_run(
    folder: RunFolder, checkpoints: Sequence[str], display: Display, stop: StopSignal
) -> None:
    """Evaluate a run's checkpoints on the same held-out tasks, and show them side by side.

    Each result is kept in `evaluations/`, so an interrupted evaluation goes on with the next
    checkpoint. Writes `results.json`.

    Args:
        folder: the run's.
        checkpoints: the stages whose checkpoints to evaluate.
        display: the screen.
        stop: whether the user asked to stop.
    """
    settings = folder.settings
    assert settings.evaluate is not None
    assert settings.env is not None
    kept: dict[str, dict[str, Any]] = {}
    for stage in checkpoints:
        path = folder.path / "evaluations" / f"{stage}.json"
        if not path.exists():
            if stop.requested:
                raise Interrupted(
                    f"stopped before evaluating {stage}; go on with: "
                    f"python -m rlenv.train --resume {folder.path}"
                )
            result = _evaluate(folder, stage, settings.evaluate, display)
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, json.dumps(as_json(result), ensure_ascii=False))
        kept[stage] = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        {
            "stage": stage,
            "env": registry.spec(settings.env.id).id,
            "split": settings.evaluate.split,
            "label": LABELS.get(stage, stage),
            **kept[stage]["summary"],
        }
        for stage in checkpoints
    ]
    write_atomically(folder.path / "results.json", json.dumps(rows, indent=1, ensure_ascii=False))
    show_table(rows, display)
    show_side_by_side(kept, display)


def as_json(result: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain values: `summary`, `samples`, `greedy`."""

    def plain(sample: Any) -> dict[str, Any]:
        values = asdict(sample)
        values["value"] = sample.value if math.isfinite(sample.value) else None
        return values

    return {
        "summary": result.row(),
        "samples": [plain(s) for s in result.kept],
        "greedy": [plain(s) for s in result.kept_greedy],
    }


def show_table(rows: Sequence[dict[str, Any]], display: Display) -> None:
    """Print one line a checkpoint, with the gain over the one before."""
    first = rows[0]
    display.say(
        f"\nheld-out ({first['split']} split), {first['tasks']} tasks x {first['samples']} samples"
    )
    lines = []
    for number, row in enumerate(rows):
        gain = ""
        if number:
            points = 100 * (row["pass_at_1"] - rows[number - 1]["pass_at_1"])
            gain = f"{points:+.0f} points over {rows[number - 1]['label']}"
        interval = f"{row['pass_at_1']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        lines.append([row["label"], interval, f"{row['greedy']:.2f}", gain])
    display.table(["", "pass@1 (95% interval)", "greedy", ""], lines)


def show_side_by_side(kept: dict[str, dict[str, Any]], display: Display) -> None:
    """Print what each checkpoint replied to the same prompts, at temperature 0."""
    display.say("\nthe same prompts, answered greedily")
    header = ["prompt", *(LABELS.get(stage, stage) for stage in kept)]
    lines = []
    for replies in list(zip(*(k["greedy"] for k in kept.values()), strict=True))[:_SHOWN_PROMPTS]:
        cells = [f"{_short(r['reply'])} {'✓' if r['solved'] else '✗'}" for r in replies]
        lines.append([_short(replies[0]["prompt"], 40), *cells])
    display.table(header, lines)


def _evaluate(
    folder: RunFolder, stage: str, settings: EvaluateSettings, display: Display
) -> Evaluation:
    env = folder.settings.environment
    assert env is not None
    source = str(folder.checkpoint(stage))
    model, tokenizer = checkpoint.load(source, device=folder.settings.device)
    chat = ChatFormat(tokenizer, source)
    display.begin(f"eval {LABELS.get(stage, stage)}", settings.tasks * (settings.samples + 1))
    try:
        return evaluate(
            EnvPool(lambda: registry.make(env.id, split=settings.split, **env.options)),
            checkpoint.engine_for(model, chat, folder.settings.engine),
            chat,
            tasks=settings.tasks,
            samples=settings.samples,
            sampling=Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens),
            seed=folder.settings.seed,
            max_length=checkpoint.context_length(model, tokenizer),
            progress=lambda done, total: display.update(done, {}),
        )
    finally:
        display.end()


def _short(text: str, most: int = 24) -> str:
    line = text.replace("\n", "\\n")
    return line if len(line) <= most else line[: most - 1] + "…"
