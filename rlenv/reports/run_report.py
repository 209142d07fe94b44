"""The report of a run: one self-contained HTML file with curves, the table and samples."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlenv.common.files import write_atomically
from rlenv.common.verdicts import scored, verdict
from rlenv.core import registry
from rlenv.evaluation.folder import greedy_replies, read_evaluation
from rlenv.reports.charts import line_chart
from rlenv.reports.pages import chart_grid, escape, number, page, plain, section, table, text
from rlenv.run import config
from rlenv.run.run_folder import RunFolder

# (metrics drawn together, title)
CHARTS: list[tuple[tuple[str, ...], str]] = [
    (("loss", "held_out/loss"), "loss (nats per token), in training and held out"),
    (("held_out/bits_per_byte", "held_out/bits_per_byte/*"), "bits per byte of held-out text"),
    (("learning_rate",), "learning rate"),
    (("mean_token_accuracy",), "share of reply tokens predicted"),
    (("expert_kl",), "KL from the expert to the policy, nats a token"),
    (("accuracy", "held_out/accuracy"), "share of pairs ordered right by the reward model"),
    (("margin",), "score of the chosen reply over that of the rejected one"),
    (("rewards/accuracies", "held_out/rewards/accuracies"), "share of pairs ordered right"),
    (("rewards/margins", "held_out/rewards/margins"), "margin of the implicit rewards"),
    (("reward", "held_out/reward"), "reward in training, and on validation tasks"),
    (("rejection/solved", "rejection/kept"), "share of tasks solved in a round, of samples kept"),
    (("rewards/*/mean",), "reward components"),
    (("kl",), "KL to the policy before the stage (nats per token)"),
    (("entropy",), "entropy of the policy (nats per token)"),
    (("completions/mean_length",), "reply length (tokens)"),
    (("completions/clipped_ratio", "unparseable"), "share of replies cut off, unreadable"),
    (("frac_reward_zero_std",), "share of groups without a difference to learn from"),
    (("grad_norm",), "gradient norm"),
    (("clip_ratio/*_mean", "cispo_clip_ratio"), "share of clipped tokens"),
    (("value_loss",), "value loss"),
    (("explained_variance",), "share of the returns' variance that the critic explains"),
    (("tokens_per_second",), "tokens per second"),
]


def write_report(folder: RunFolder) -> Path:
    """Write `report.html` into a run's folder and return its path."""
    settings = folder.settings
    name = folder.path.name if settings.env is None else registry.spec(settings.env.id).id
    metrics: dict[str, list[dict[str, Any]]] = {}
    for record in folder.read_log("metrics"):
        metrics.setdefault(str(record["stage"]), []).append(record)
    results_path = folder.path / "results.json"
    results = json.loads(results_path.read_text("utf-8")) if results_path.exists() else []
    parts = []
    if results:
        parts += [
            _headline(results),
            section("Held-out tasks", _results_table(results)),
            section("The same prompts, answered greedily", _side_by_side(folder, results)),
        ]
    parts += [
        section(f"Stage {stage}", chart_grid(_charts(records)))
        for stage, records in metrics.items()
    ]
    configuration = f"<pre>{escape(config.to_yaml(settings))}</pre>"
    parts += [_samples(folder), _episodes(folder), section("Configuration", configuration)]
    path = folder.path / "report.html"
    below = f"{' → '.join(settings.stages)} · seed {settings.seed}"
    write_atomically(path, page(name, parts, below=below))
    return path


def _charts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    drawn = []
    names = {name for record in records for name in record}
    for patterns, title in CHARTS:
        chosen = [
            name
            for pattern in patterns
            for name in sorted(names)
            if fnmatch.fnmatchcase(name, pattern)
        ]
        series = {}
        for name in chosen:
            points = [(r["step"], r[name]) for r in records if r.get(name) is not None]
            if points:
                steps, values = zip(*points, strict=True)
                series[name] = (steps, values)
        if any(len(steps) > 1 for steps, _ in series.values()):
            drawn.append(line_chart(series, title))
    return drawn


def _headline(results: Sequence[Mapping[str, Any]]) -> str:
    last = results[-1]
    said = (
        f"{last['label']} solves {last['pass_at_1']:.0%} of {last['tasks']} held-out tasks "
        f"(95% interval {last['ci_low']:.0%} to {last['ci_high']:.0%})"
    )
    if len(results) > 1:
        before = results[-2]
        points = 100 * (last["pass_at_1"] - before["pass_at_1"])
        said += f", {points:+.0f} points over {before['label']}"
    return f'<p class="headline">{escape(said)}.</p>'


def _results_table(results: Sequence[Mapping[str, Any]]) -> str:
    header = ["checkpoint", "pass@1", "95% interval", "greedy", "mean reward"]
    rows = [
        [
            plain(r["label"]),
            number(f"{r['pass_at_1']:.3f}"),
            number(f"{r['ci_low']:.3f} to {r['ci_high']:.3f}"),
            number(f"{r['greedy']:.3f}"),
            number(f"{r['mean_reward']:.3f}"),
            number(f"{r['truncated']:.1%}"),
            number(f"{r['unparseable']:.1%}"),
            number(f"{r['grader_errors']:.1%}"),
        ]
        for r in results
    ]
    first = results[0]
    note = (
        f"{first['tasks']} tasks of the {first['split']} split, {first['samples']} samples each "
        f"beside one greedy reply; task set {first['fingerprint']}."
    )
    made = table([*header, "cut off", "no answer found", "not judged"], rows)
    return f'{made}<p class="sub">{escape(note)}</p>'


def _side_by_side(folder: RunFolder, results: Sequence[Mapping[str, Any]]) -> str:
    kept = {r["label"]: read_evaluation(folder.path / "evaluations" / r["stage"]) for r in results}
    rows = [
        [
            text(replies[0].prompt),
            *(text(f"{r.reply} {'✓' if r.solved else '✗'}", r.solved) for r in replies),
        ]
        for replies in greedy_replies(kept)[:12]
    ]
    return table(["prompt", *kept], rows)


def _episodes(folder: RunFolder) -> str:
    rows = [
        [
            number(f"{e['stage']} {e['step']}"),
            text(e["prompt"]),
            text(e["reply"], word == "right"),
            number(scored(e["reward"], e["status"], word)),
        ]
        for e in folder.read_log("episodes")
        for word in [e.get("verdict") or verdict(e["reward"], e["status"])]
    ]
    made = table(["step", "prompt", "reply", "verdict"], rows) if rows else ""
    return section("Episodes sampled in training", made)


def _samples(folder: RunFolder) -> str:
    rows = [
        [number(f"{s['stage']} {s['step']}"), text(s["text"], after=s["prompt"])]
        for s in folder.read_log("samples")
    ]
    made = table(["step", "prompt, and how the model goes on"], rows) if rows else ""
    return section("Texts written in training", made)
