"""Evaluating a run's checkpoints side by side, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlenv.common.display import Display
from rlenv.common.errors import Interrupted
from rlenv.common.files import write_atomically
from rlenv.common.signals import StopSignal
from rlenv.evaluation.folder import (
    Evaluated,
    EvaluationFolder,
    greedy_replies,
    read_evaluation,
)
from rlenv.evaluation.model_under_test import load_model
from rlenv.evaluation.plan import EvaluationPlan, evaluate_plan
from rlenv.run.run_folder import RunFolder

LABELS = {"pretrain": "base"}
_SHOWN_PROMPTS = 8


def evaluate_run(
    folder: RunFolder, checkpoints: Sequence[str], display: Display, stop: StopSignal
) -> None:
    """Evaluate a run's checkpoints on the same held-out tasks, and show them side by side.

    Each is kept in a folder of its own in `evaluations/`, so an interrupted evaluation goes on
    where it was. Writes `results.json`.

    Args:
        folder: the run's.
        checkpoints: the stages whose checkpoints to evaluate.
        display: the screen.
        stop: whether the user asked to stop.
    """
    kept: dict[str, Evaluated] = {}
    for stage in checkpoints:
        path = folder.path / "evaluations" / stage
        if not (path / "result.json").exists():
            if stop.requested:
                raise Interrupted(
                    f"stopped before evaluating {stage}; go on with: "
                    f"python -m rlenv.train --resume {folder.path}"
                )
            _evaluate(folder, stage, path, display)
        kept[stage] = read_evaluation(path)
    rows = [
        {
            "stage": stage,
            "label": LABELS.get(stage, stage),
            **result,
        }
        for stage, (result, _) in kept.items()
    ]
    write_atomically(folder.path / "results.json", json.dumps(rows, indent=1, ensure_ascii=False))
    show_table(rows, display)
    show_side_by_side(kept, display)


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


def show_side_by_side(kept: Mapping[str, Evaluated], display: Display) -> None:
    """Print what each checkpoint replied to the same prompts, at temperature 0."""
    display.say("\nthe same prompts, answered greedily")
    header = ["prompt", *(LABELS.get(stage, stage) for stage in kept)]
    lines = []
    for replies in greedy_replies(kept)[:_SHOWN_PROMPTS]:
        cells = [f"{_short(r.reply)} {'✓' if r.solved else '✗'}" for r in replies]
        lines.append([_short(replies[0].prompt, 40), *cells])
    display.table(header, lines)


def _evaluate(folder: RunFolder, stage: str, path: Path, display: Display) -> None:
    run = folder.settings
    assert run.evaluate is not None
    assert run.environment is not None
    source = str(folder.checkpoint(stage))
    model = load_model(source, device=run.device, engine=run.engine)
    model.record["name"] = stage  # a run that is moved stays the same evaluation
    plan = EvaluationPlan(
        env=run.environment,
        seed=run.seed,
        dtype=run.engine.dtype,
        **run.evaluate.model_dump(),
    )
    path.parent.mkdir(exist_ok=True)
    evaluate_plan(
        plan,
        model,
        EvaluationFolder(path, plan.record(model.record, plan.make_env())),
        display,
        label=f"eval {LABELS.get(stage, stage)}",
    )


def _short(text: str, most: int = 24) -> str:
    line = text.replace("\n", "\\n")
    return line if len(line) <= most else line[: most - 1] + "…"
