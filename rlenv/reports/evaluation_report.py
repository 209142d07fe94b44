"""The report of evaluations, of one model or several."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlenv.common.files import check_writable, write_atomically
from rlenv.evaluation import breakdown
from rlenv.evaluation.breakdown import Bin
from rlenv.evaluation.folder import read_evaluation
from rlenv.evaluation.paired_test import check_comparable, compare_samples
from rlenv.evaluation.samples import Sample, scored_sample, verdict_of
from rlenv.reports.charts import COLOURS, chart
from rlenv.reports.pages import chart_grid, escape, number, page, plain, section, table, text

_EACH = 6  # samples shown of each kind

_KINDS = ("right", "partly", "wrong", "cut off", "no answer found", "timed out", "not judged")
_REASONS = {"unparseable": "no answer found", "timeout": "timed out"}


@dataclass(frozen=True)
class Evaluated:
    """A finished evaluation, under the name it has in the report."""

    label: str
    path: Path
    result: Mapping[str, Any]
    samples: Sequence[Sample]


def write_evaluation_report(folders: Sequence[Path], out: Path) -> Path:
    """Write the report of evaluations on the same tasks, and return its path.

    Args:
        folders: of finished evaluations; others are compared with the first.
        out: the file.

    Raises:
        UserError: a folder holds none, or they are not of the same tasks.
    """
    read = [(path, *read_evaluation(path)) for path in folders]
    check_writable(out, "--output")
    labels = _labels([(path, str(result["model"]["name"])) for path, result, _ in read])
    all_of_them = [Evaluated(label, *one) for label, one in zip(labels, read, strict=True)]
    first = all_of_them[0]
    for other in all_of_them[1:]:
        check_comparable(first.path, first.result, other.path, other.result)
    r = first.result
    options = " ".join(f"{key}={value}" for key, value in r["options"].items())
    parts = [_figures(all_of_them)]
    if len(all_of_them) > 1:
        parts.append(section("Differences, task by task", _differences(all_of_them)))
    parts.append(section("Where it is right", chart_grid(_charts(all_of_them))))
    parts += [part for one in all_of_them for part in (_samples(one), _settings(one))]
    made = page(
        str(r["env"]),
        parts,
        heading=f"{r['env']} {options}".strip(),
        below=f"{r['split']} split, {r['tasks']} tasks, task set {r['fingerprint']}",
    )
    write_atomically(out, made)
    return out


def _labels(named: Sequence[tuple[Path, str]]) -> list[str]:
    """Return a short name for each evaluation, all different."""
    short = [Path(name).name for _, name in named]
    if len(set(short)) == len(short):
        return short
    longer = [path.name for path, _ in named]
    return longer if len(set(longer)) == len(longer) else [str(path) for path, _ in named]


def _figures(evaluated: Sequence[Evaluated]) -> str:
    names = list(dict.fromkeys(name for one in evaluated for name in one.result["estimates"]))
    rows = []
    for name in names:
        cells = [_estimate(one.result["estimates"].get(name)) for one in evaluated]
        rows.append([name, *cells])
    for key, name in (
        ("truncated", "cut off"),
        ("unparseable", "no answer found"),
        ("timeout", "timed out"),
        ("grader_errors", "not judged"),
    ):
        rows.append([name, *(f"{one.result[key]:.1%}" for one in evaluated)])
    rows.append(["tokens sampled", *(f"{one.result['tokens']:,}" for one in evaluated)])
    rows.append(["seconds", *(f"{one.result['seconds']:.1f}" for one in evaluated)])
    if any(one.result["invalid"] for one in evaluated):
        rows.append(["INVALID", *(one.result["invalid"] for one in evaluated)])
    return _figure_table(["with 95% intervals", *(one.label for one in evaluated)], rows)


def _estimate(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return ""
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _differences(evaluated: Sequence[Evaluated]) -> str:
    first, *others = evaluated
    rows = []
    for other in others:
        found = compare_samples(first.samples, other.samples)
        d = found.difference
        rows.append(
            [
                f"{other.label} over {first.label}",
                f"{100 * d.value:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f})",
                f"{found.p:.3g}",
                "real" if found.real else "may be chance",
                f"{len(found.gained)} / {len(found.lost)}",
            ]
        )
    return _figure_table(["", "difference in pass@1", "p", "verdict", "tasks gained / lost"], rows)


def _charts(evaluated: Sequence[Evaluated]) -> list[str]:
    made = []
    if max(one.result["samples"] for one in evaluated) > 1:
        made.append(_tries(evaluated))
    key = breakdown.difficulty_key(evaluated[0].samples)
    if key is not None:
        bins = [breakdown.by_metadata(one.samples, key) for one in evaluated]
        made.append(_bins(evaluated, bins, f"pass@1 by {key}", key, named=True))
    for what, length in (
        ("tokens of the prompt", lambda s: s.prompt_tokens),
        ("tokens of the reply", lambda s: s.tokens),
    ):
        bins = [breakdown.by_length(one.samples, length) for one in evaluated]
        if any(len(some) > 1 for some in bins):
            made.append(_bins(evaluated, bins, f"pass@1 by {what}", what))
    calibrated = [breakdown.calibration(one.samples) for one in evaluated]
    if any(bins for bins, _ in calibrated):
        made.append(_calibration(evaluated, calibrated))
    return made


def _bins(
    evaluated: Sequence[Evaluated],
    bins: Sequence[Sequence[Bin]],
    title: str,
    below: str,
    *,
    named: bool = False,
) -> str:
    def draw(axes: Any) -> None:
        for n, (one, some) in enumerate(zip(evaluated, bins, strict=True)):
            _points(axes, some, one.label, n)
        if named:
            names = {b.x: b.label for some in bins for b in some}
            axes.set_xticks(list(names), list(names.values()))
        _finish(axes, evaluated)

    return chart(title, below, draw)


def _calibration(
    evaluated: Sequence[Evaluated], calibrated: Sequence[tuple[Sequence[Bin], float]]
) -> str:
    errors = ", ".join(f"{error:.2f}" for _, error in calibrated)

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        for n, (one, (some, _)) in enumerate(zip(evaluated, calibrated, strict=True)):
            _points(axes, some, one.label, n)
        _finish(axes, evaluated)

    title = f"is the majority right? (calibration error {errors})"
    return chart(title, "share of samples that agree", draw)


def _points(axes: Any, bins: Sequence[Bin], label: str, number: int) -> None:
    values = [b.accuracy.value for b in bins]
    axes.errorbar(
        [b.x for b in bins],
        values,
        yerr=[
            [b.accuracy.value - b.accuracy.low for b in bins],
            [b.accuracy.high - b.accuracy.value for b in bins],
        ],
        color=COLOURS[number % len(COLOURS)],
        linewidth=1.2,
        marker="o",
        markersize=3,
        capsize=2,
        label=label,
    )


def _tries(evaluated: Sequence[Evaluated]) -> str:
    def draw(axes: Any) -> None:
        for n, one in enumerate(evaluated):
            colour = COLOURS[n % len(COLOURS)]
            for name, points in breakdown.curves(one.samples).items():
                ks = [k for k, _ in points]
                axes.plot(
                    ks,
                    [e.value for _, e in points],
                    color=colour,
                    linestyle="-" if name == "pass@k" else "--",
                    marker="o",
                    markersize=3,
                    linewidth=1.4,
                    label=f"{name} {one.label}" if len(evaluated) > 1 else name,
                )
                low, high = ([getattr(e, end) for _, e in points] for end in ("low", "high"))
                axes.fill_between(ks, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.legend(frameon=False, fontsize=7)
        axes.set_ylim(-0.02, 1.02)

    return chart("one of k tries is right (pass@k), all of them (pass^k)", "k", draw)


def _finish(axes: Any, evaluated: Sequence[Evaluated]) -> None:
    axes.set_ylim(-0.02, 1.02)
    if len(evaluated) > 1:
        axes.legend(frameon=False, fontsize=7)


def _samples(one: Evaluated) -> str:
    shown = []
    for kind in _KINDS:
        of_kind = [s for s in one.samples if not s.greedy and _kind(s, one.result) == kind]
        if not of_kind:
            continue
        step = max(1, len(of_kind) // _EACH)  # from all over the task set
        rows = [
            [
                text(s.prompt),
                text(s.reply, s.solved),
                number(scored_sample(s, one.result)),
                plain(s.detail),
            ]
            for s in of_kind[::step][:_EACH]
        ]
        shown.append(f"<h3>{kind} ({len(of_kind)})</h3>")
        shown.append(table(["prompt", "reply", "verdict", ""], rows))
    return section(f"Samples of {one.label}", *shown)


def _kind(sample: Sample, result: Mapping[str, Any]) -> str:
    """Return under which heading a sample is shown."""
    word = verdict_of(sample, result)
    if word in ("right", "not judged"):
        return word
    return "cut off" if sample.truncated else _REASONS.get(sample.status, word)


def _settings(one: Evaluated) -> str:
    left_out = {"estimates", "fingerprint"}
    shown = {k: v for k, v in one.result.items() if k not in left_out and not isinstance(v, float)}
    settings = f"<pre>{escape(json.dumps(shown, indent=1))}</pre>"
    return section(f"Settings of {one.label}", settings)


def _figure_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(header, ([plain(first), *map(number, rest)] for first, *rest in rows))
