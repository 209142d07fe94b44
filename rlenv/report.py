"""The report of a run: one self-contained HTML file with curves, the table and samples."""

from __future__ import annotations

import fnmatch
import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rlenv import config, registry
from rlenv.run_folder import RunFolder, write_atomically

# (metrics drawn together, title)
CHARTS: list[tuple[tuple[str, ...], str]] = [
    (("loss", "held_out/loss"), "loss (nats per token), in training and held out"),
    (("learning_rate",), "learning rate"),
    (("mean_token_accuracy",), "share of reply tokens predicted"),
    (("accuracy", "held_out/accuracy"), "share of pairs ordered right by the reward model"),
    (("margin",), "score of the chosen reply over that of the rejected one"),
    (("rewards/accuracies", "held_out/rewards/accuracies"), "share of pairs ordered right"),
    (("rewards/margins", "held_out/rewards/margins"), "margin of the implicit rewards"),
    (("reward", "held_out/reward"), "reward in training, and on validation tasks"),
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
_COLOURS = ("#2f6fb2", "#d1762a", "#3f8f5f", "#8a5aa8", "#b3362b")


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
    parts += [_episodes(folder), "<h2>Configuration</h2>"]
    parts += [f"<pre>{_text(config.to_yaml(settings))}</pre>"]
    style = resources.files("rlenv").joinpath("report.css").read_text("utf-8")
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(name)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
    path = folder.path / "report.html"
    write_atomically(path, page)
    return path


def line_chart(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str) -> str:
    """Draw curves over steps as an SVG element.

    Args:
        series: label to (steps, values).
        title: shown above.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # text stays text, and the file does not change from one writing to the next
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "rlenv", "font.size": 8}):
        figure = Figure(figsize=(4.2, 2.4), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_title(title, fontsize=9, loc="left")
        for colour, (label, (steps, values)) in zip(
            _COLOURS * len(series), series.items(), strict=False
        ):
            few = len(steps) <= 30
            axes.plot(
                steps,
                values,
                color=colour,
                linewidth=1.4,
                marker="o" if few else None,
                markersize=3,
                label=label,
            )
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=7)
        axes.set_xlabel("step", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4, alpha=0.6)
        written = io.StringIO()
        canvas.print_svg(written, metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


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
    kept = {
        r["label"]: json.loads(
            (folder.path / "evaluations" / f"{r['stage']}.json").read_text("utf-8")
        )["greedy"]
        for r in results
    }
    headings = "".join(f"<th>{_text(name)}</th>" for name in ("prompt", *kept))
    rows = []
    for replies in list(zip(*kept.values(), strict=True))[:12]:
        cells = "".join(
            f'<td class="text {"solved" if r["solved"] else "missed"}">'
            f"{_text(r['reply'])} {'✓' if r['solved'] else '✗'}</td>"
            for r in replies
        )
        rows.append(f'<tr><td class="text">{_text(replies[0]["prompt"])}</td>{cells}</tr>')
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


def _text(value: Any) -> str:
    return html.escape(str(value))
