"""The report of a run: one self-contained HTML file with curves, the table and samples."""

from __future__ import annotations

import fnmatch
import html
import json
from pathlib import Path
from typing import Any

from rlenv.common.files import write_atomically
from rlenv.core import registry
from rlenv.evaluation.folder import greedy_replies, read_evaluation
from rlenv.reports.charts import line_chart, page
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
    parts = [
        f"<h1>{_text(name)}</h1>",
        f'<p class="sub">{_text(" → ".join(settings.stages))} · seed {settings.seed}</p>',
    ]
    if results:
        parts += [_headline(results), "<h2>Held-out tasks</h2>", _results_table(results)]
        parts += ["<h2>The same prompts, answered greedily</h2>", _side_by_side(folder, results)]
    for stage, records in metrics.items():
        charts = _charts(records)
        if charts:
            parts += [f"<h2>Stage {_text(stage)}</h2>", f'<div class="charts">{charts}</div>']
    parts += [_samples(folder), _episodes(folder), "<h2>Configuration</h2>"]
    parts += [f"<pre>{_text(config.to_yaml(settings))}</pre>"]
    path = folder.path / "report.html"
    write_atomically(path, page(name, parts))
    return path


def _charts(records: list[dict[str, Any]]) -> str:
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
            drawn.append(f"<figure>{line_chart(series, title)}</figure>")
    return "".join(drawn)


def _headline(results: list[dict[str, Any]]) -> str:
    last = results[-1]
    text = (
        f"{last['label']} solves {last['pass_at_1']:.0%} of {last['tasks']} held-out tasks "
        f"(95% interval {last['ci_low']:.0%} to {last['ci_high']:.0%})"
    )
    if len(results) > 1:
        before = results[-2]
        points = 100 * (last["pass_at_1"] - before["pass_at_1"])
        text += f", {points:+.0f} points over {before['label']}"
    return f'<p class="headline">{_text(text)}.</p>'


def _results_table(results: list[dict[str, Any]]) -> str:
    head = "checkpoint|pass@1|95% interval|greedy|mean reward|cut off|unreadable|not judged"
    rows = "".join(
        f"<tr><td>{_text(r['label'])}</td>"
        + "".join(
            f'<td class="number">{cell}</td>'
            for cell in (
                f"{r['pass_at_1']:.3f}",
                f"{r['ci_low']:.3f} to {r['ci_high']:.3f}",
                f"{r['greedy']:.3f}",
                f"{r['mean_reward']:.3f}",
                f"{r['truncated']:.1%}",
                f"{r['unparseable']:.1%}",
                f"{r['grader_errors']:.1%}",
            )
        )
        + "</tr>"
        for r in results
    )
    headings = "".join(f"<th>{_text(name)}</th>" for name in head.split("|"))
    first = results[0]
    note = (
        f"{first['tasks']} tasks of the {first['split']} split, {first['samples']} samples each "
        f"beside one greedy reply; task set {first['fingerprint']}."
    )
    return f'<table><tr>{headings}</tr>{rows}</table><p class="sub">{_text(note)}</p>'


def _side_by_side(folder: RunFolder, results: list[dict[str, Any]]) -> str:
    kept = {r["label"]: read_evaluation(folder.path / "evaluations" / r["stage"]) for r in results}
    headings = "".join(f"<th>{_text(name)}</th>" for name in ("prompt", *kept))
    rows = []
    for replies in greedy_replies(kept)[:12]:
        cells = "".join(
            f'<td class="text {"solved" if r.solved else "missed"}">'
            f"{_text(r.reply)} {'✓' if r.solved else '✗'}</td>"
            for r in replies
        )
        rows.append(f'<tr><td class="text">{_text(replies[0].prompt)}</td>{cells}</tr>')
    return f"<table><tr>{headings}</tr>{''.join(rows)}</table>"


def _episodes(folder: RunFolder) -> str:
    episodes = list(folder.read_log("episodes"))
    if not episodes:
        return ""
    rows = "".join(
        f'<tr><td class="number">{_text(e["stage"])} {e["step"]}</td>'
        f'<td class="text">{_text(e["prompt"])}</td>'
        f'<td class="text {"solved" if e["reward"] else "missed"}">{_text(e["reply"])}</td>'
        f'<td class="number">{_text(e["status"])} '
        f"{'' if e['reward'] is None else format(e['reward'], '.2f')}</td></tr>"
        for e in episodes
    )
    head = "<th>step</th><th>prompt</th><th>reply</th><th>verdict</th>"
    return f"<h2>Episodes sampled in training</h2><table><tr>{head}</tr>{rows}</table>"


def _samples(folder: RunFolder) -> str:
    samples = list(folder.read_log("samples"))
    if not samples:
        return ""
    rows = "".join(
        f'<tr><td class="number">{_text(s["stage"])} {s["step"]}</td>'
        f'<td class="text"><b>{_text(s["prompt"])}</b>{_text(s["text"])}</td></tr>'
        for s in samples
    )
    head = "<th>step</th><th>prompt, and how the model goes on</th>"
    return f"<h2>Texts written in training</h2><table><tr>{head}</tr>{rows}</table>"


def _text(value: Any) -> str:
    return html.escape(str(value))
