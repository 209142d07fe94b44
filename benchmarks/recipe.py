"""Train a recipe with several seeds, one after another, and write down what came of it.

    python benchmarks/recipe.py CONFIG [--seeds 0 1 2] [--gain 20] [--runs runs]
                                [--out docs/results]

Writes `OUT/NAME.md` with pass@1 of every stage for every seed, the time and memory it took, and
replies side by side, and `OUT/NAME.svg` with the held-out curves. Where the environment has an
audit, the same samples are judged by that too (see `audit.py`). For Wordle, whole games and what
players win that learn nothing stand in place of the replies. A seed whose run is finished already
is read and not trained again, and what a page says between the lines of `BY_HAND` stays in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import wordle_games
from audit import audit_run

from rlenv.core import registry
from rlenv.evaluation import Sample, read_evaluation
from rlenv.reports.charts import line_chart
from rlenv.run import config as configs

SHOWN = 10  # prompts side by side
BY_HAND = ("<!-- by hand -->", "<!-- end -->")
LIBRARIES = ("torch", "transformers", "trl")


@dataclass(frozen=True)
class Proof:
    """One finished run.

    Attributes:
        seed: of the run.
        folder: of the run.
        seconds: wall-clock of the whole command, evaluation and start included, and of stages that
            an earlier one finished.
        megabytes: peak resident memory of the process.
        load: the machine's load average when it began; near 0 on a quiet one.
        judging: processor seconds of the processes that the command started, such as sandboxes.
    """

    seed: int
    folder: Path
    seconds: float
    megabytes: float
    load: float
    judging: float = 0.0

    @property
    def results(self) -> list[dict[str, Any]]:
        """What each stage scored on held-out tasks."""
        found: list[dict[str, Any]] = json.loads((self.folder / "results.json").read_text())
        return found

    @property
    def gain(self) -> float:
        """Points of pass@1 that the last stage gained over the one before."""
        before, after = self.results[-2:]
        return 100 * (after["pass_at_1"] - before["pass_at_1"])

    def held_out(self) -> tuple[list[float], list[float]]:
        """Return steps and held-out reward of the last stage."""
        points = [
            (r["step"], r["held_out/reward"])
            for r in self.metrics(self.results[-1]["stage"])
            if r.get("held_out/reward") is not None
        ]
        return [s for s, _ in points], [v for _, v in points]

    def waiting(self) -> float:
        """Return the share of the last stage's steps in which it waited for the environment."""
        stage = self.results[-1]["stage"]
        steps = [r for r in self.metrics(stage) if "time/env" in r]
        return sum(r["time/env"] for r in steps) / sum(r["step_time"] for r in steps)

    def metrics(self, stage: str) -> list[dict[str, Any]]:
        """Return what a stage logged."""
        lines = map(json.loads, (self.folder / "metrics.jsonl").open())
        return [line for line in lines if line["stage"] == stage]

    def replies(self) -> dict[str, list[Sample]]:
        """Return each stage's greedy replies, by its label."""
        folder = self.folder / "evaluations"
        return {
            r["label"]: [s for s in read_evaluation(folder / r["stage"])[1] if s.greedy]
            for r in self.results
        }


def run(config: Path, seed: int, runs: Path) -> Proof:
    """Train one seed, or read what it left."""
    folder = runs / f"{config.stem}-{seed}"
    kept = folder / "proof.json"
    if not kept.exists():
        load, began = os.getloadavg()[0], time.monotonic()
        before = _finished_before(folder)
        command = [sys.executable, "-m", "rlenv.train", str(config)]
        process = subprocess.Popen([*command, f"seed={seed}", f"run_dir={folder}"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        judging = _spent_by_children(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"seed {seed} failed; see above")
        measured = {
            "seconds": before + time.monotonic() - began,
            "megabytes": usage.ru_maxrss / 1024,
            "load": load,
            "judging": judging,
        }
        kept.write_text(json.dumps(measured))
    return Proof(seed, folder, **json.loads(kept.read_text()))


def _finished_before(folder: Path) -> float:
    """Return the seconds of the stages that a run has finished already."""
    stages = folder / "stages.json"
    if not stages.exists():
        return 0.0
    return float(sum(stage["seconds"] for stage in json.loads(stages.read_text()).values()))


def _spent_by_children(pid: int) -> float:
    """Return the processor seconds of a dead process's children, theirs included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:  # not Linux
        return 0.0
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def by_hand(page: Path) -> str:
    """Return what people wrote into a page, with the lines around it; nothing if there is none."""
    text = page.read_text()
    start, end = map(re.escape, BY_HAND)
    found = re.search(f"^{start}$.*?^{end}$", text, re.DOTALL | re.MULTILINE)
    if found is None and any(mark in text for mark in BY_HAND):
        sys.exit(f"{page} has one of {' and '.join(BY_HAND)}; give each a line of its own")
    return found[0] if found else ""


def page(
    config: Path, proofs: Sequence[Proof], command: str, least: float, written: str = ""
) -> str:
    """Write the page.

    Args:
        config: of the runs.
        proofs: the runs.
        command: what makes the page.
        least: points that a seed should gain.
        written: what stands before the recipe, see `by_hand`.
    """
    labels = [r["label"] for r in proofs[0].results]
    reached = sum(p.gain >= least for p in proofs)
    gains = ", ".join(f"{p.gain:+.1f}" for p in proofs)
    lines = [
        f"# {config.stem}",
        "",
        f"`{labels[-1]}` gained {gains} points of held-out pass@1 over `{labels[-2]}`; "
        f"{reached} of {len(proofs)} seeds gained {least:g} or more.",
        "",
        "```bash",
        command,
        "```",
        "",
        _row(["seed", *labels, "gain", f"greedy, {labels[-2]} → {labels[-1]}", "time", "memory"]),
        _row(["---"] * (len(labels) + 5)),
    ]
    for proof in proofs:
        results = proof.results
        scores = [f"{r['pass_at_1']:.3f} [{r['ci_low']:.3f}, {r['ci_high']:.3f}]" for r in results]
        greedy = f"{results[-2]['greedy']:.3f} → {results[-1]['greedy']:.3f}"
        minutes, seconds = divmod(round(proof.seconds), 60)
        lines.append(
            _row(
                [
                    str(proof.seed),
                    *scores,
                    f"{proof.gain:+.1f}",
                    greedy,
                    f"{minutes} min {seconds:02d} s",
                    f"{proof.megabytes / 1024:.1f} GiB",
                ]
            )
        )
    last = proofs[0].results[-1]
    loads = ", ".join(f"{p.load:.1f}" for p in proofs)
    cores = f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores ({platform.machine()})"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    lines += [
        "",
        f"pass@1 at temperature 1 with its 95% interval (tasks are the clusters): {last['tasks']} "
        f"tasks of the {last['split']} split, {last['samples']} samples each, none of which any "
        f"stage has seen. Task set {last['fingerprint']}. Time is that of the whole "
        f"command, and of stages that an interrupted one had finished, on {cores}; "
        f"load average at the start: {loads}. "
        f"Python {platform.python_version()}, {versions}.",
        "",
        f"![held-out reward by step, one line a seed]({config.stem}.svg)",
        "",
        *_audits(proofs),
        *_judging(proofs),
        *_shown(config, proofs[0]),
        "",
        *([written, ""] if written else []),
        "## The recipe",
        "",
        "```yaml",
        config.read_text().strip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _audits(proofs: Sequence[Proof]) -> list[str]:
    """Return what tests say that the reward never used, where the environment has some."""
    audits = {proof.seed: audit_run(proof.folder) for proof in proofs}
    if not any(audits.values()):
        return []
    lines = [
        "## The same programs by tests that the reward never used",
        "",
        "Each sample of the table above, judged by its reward's tests and by the audit's.",
        "",
        _row(["seed", "stage", "reward's tests", "audit's tests", "pass the reward's alone"]),
        _row(["---"] * 5),
    ]
    for seed, stages in audits.items():
        for a in stages:
            estimates = [f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in (a.reward, a.audit)]
            alone = f"{a.only_reward} of {a.solved}"
            lines.append(_row([str(seed), a.label, *estimates, alone]))
    return [*lines, ""]


def _judging(proofs: Sequence[Proof]) -> list[str]:
    """Return what judging in other processes took, where there are such processes."""
    if not any(proof.judging for proof in proofs):
        return []
    label = proofs[0].results[-1]["label"]
    waiting = ", ".join(f"{proof.waiting():.1%}" for proof in proofs)
    busy = ", ".join(f"{proof.judging / proof.seconds:.1%}" for proof in proofs)
    return [
        "## Time for verdicts",
        "",
        f"The steps of `{label}` waited for the environment in {waiting} of their time "
        "(`time/env` against `step_time` in `metrics.jsonl`); replies are judged while others are "
        "still sampled. The processes that judge used processor time of "
        f"{busy} of the whole command's wall-clock.",
        "",
    ]


def _shown(config: Path, proof: Proof) -> list[str]:
    """Return what the policies did, side by side."""
    settings = configs.read(config, [f"seed={proof.seed}"])
    if registry.spec(settings.env.id).id == "rlenv/Wordle-v0":
        return wordle_games.sections(settings, proof.folder, [r["stage"] for r in proof.results])
    title = f"## The same prompts, answered greedily (seed {proof.seed})"
    return [title, "", *_side_by_side(proof)]


def _side_by_side(proof: Proof) -> list[str]:
    replies = proof.replies()
    lines = [_row(["prompt", *replies]), _row(["---"] * (len(replies) + 1))]
    for row in list(zip(*replies.values(), strict=True))[:SHOWN]:
        cells = [f"{_code(sample.reply)} {'✓' if sample.solved else '✗'}" for sample in row]
        lines.append(_row([_code(row[0].prompt), *cells]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    shown = re.sub(r"\s+", " ", text).replace("|", "\\|").replace("`", "'").strip()
    return f"`{shown[:60] or ' '}`"


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--gain", type=float, default=20, help="points that each should gain")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    proofs = [run(arguments.config, seed, arguments.runs) for seed in arguments.seeds]
    arguments.out.mkdir(parents=True, exist_ok=True)
    curves = {f"seed {p.seed}": p.held_out() for p in proofs}
    chart = line_chart(curves, f"{arguments.config.stem}: reward on validation tasks")
    (arguments.out / f"{arguments.config.stem}.svg").write_text(chart)
    seeds = " ".join(map(str, arguments.seeds))
    command = f"python benchmarks/recipe.py {arguments.config} --seeds {seeds}"
    if arguments.gain != parser.get_default("gain"):
        command += f" --gain {arguments.gain:g}"
    made = arguments.out / f"{arguments.config.stem}.md"
    written = by_hand(made) if made.exists() else ""
    made.write_text(page(arguments.config, proofs, command, arguments.gain, written))


if __name__ == "__main__":
    main()
