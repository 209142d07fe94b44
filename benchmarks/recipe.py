"""Train a recipe with several seeds, one after another, and write down what came of it.

    python benchmarks/recipe.py CONFIG [--seeds 0 1 2] [--gain 20] [--runs runs]
                                [--out docs/results]

Writes `OUT/NAME.md` with pass@1 of every stage for every seed, the time and memory it took, and
replies side by side, and `OUT/NAME.svg` with the held-out curves. Where the environment has an
audit, the same samples are judged by that too (see `audit.py`). For Wordle, whole games and what
players win that learn nothing stand in place of the replies. A seed whose run is finished already
is read and not trained again, and what a page says between `<!-- by hand -->` and `<!-- end -->`
stays in it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import runs
import wordle_games
from audit import audit_run

from rlenv.core import registry
from rlenv.evaluation import Estimate, Sample, read_evaluation
from rlenv.reports.charts import line_chart
from rlenv.run import config as configs

SHOWN = 10  # prompts side by side


@dataclass(frozen=True)
class Proof:
    """One finished run.

    Attributes:
        seed: of the run.
        folder: of the run.
        usage: of the whole command, evaluation and start included; its time is with that of the
            stages that an earlier, interrupted command finished.
    """

    seed: int
    folder: Path
    usage: harness.Usage

    @property
    def results(self) -> list[dict[str, Any]]:
        """What each stage scored on held-out tasks."""
        return runs.results(self.folder)

    @property
    def gain(self) -> float:
        """Points of pass@1 that the last stage gained over the one before."""
        before, after = self.results[-2:]
        return 100 * float(after["pass_at_1"] - before["pass_at_1"])

    def held_out(self) -> tuple[list[float], list[float]]:
        """Return steps and held-out reward of the last stage."""
        logged = runs.metrics(self.folder, self.results[-1]["stage"])
        seen = [r for r in logged if r.get("held_out/reward") is not None]
        return [r["step"] for r in seen], [r["held_out/reward"] for r in seen]

    def waiting(self) -> float:
        """Return the share of the last stage's steps in which it waited for the environment."""
        logged = runs.metrics(self.folder, self.results[-1]["stage"])
        steps = [r for r in logged if "time/env" in r]
        return float(sum(r["time/env"] for r in steps) / sum(r["step_time"] for r in steps))

    def replies(self) -> dict[str, list[Sample]]:
        """Return each stage's greedy replies, by its label."""
        folder = self.folder / "evaluations"
        return {
            r["label"]: [s for s in read_evaluation(folder / r["stage"])[1] if s.greedy]
            for r in self.results
        }


def run(config: Path, seed: int, folder: Path) -> Proof:
    """Train one seed, or read what it left."""
    own = folder / f"{config.stem}-{seed}"
    command = [sys.executable, "-m", "rlenv.train", str(config), f"seed={seed}", f"run_dir={own}"]
    return Proof(seed, own, harness.carry_out(command, own / "usage.json", _finished_before(own)))


def _finished_before(folder: Path) -> float:
    """Return the seconds of the stages that a run has finished already."""
    stages = folder / "stages.json"
    if not stages.exists():
        return 0.0
    return float(sum(stage["seconds"] for stage in json.loads(stages.read_text()).values()))


def page(
    config: Path, proofs: Sequence[Proof], command: str, least: float, written: Sequence[str]
) -> list[str]:
    """Return the page.

    Args:
        config: of the runs.
        proofs: the runs.
        command: what makes the page.
        least: points that a seed should gain.
        written: what people wrote, which stands before the recipe.
    """
    labels = [r["label"] for r in proofs[0].results]
    reached = sum(p.gain >= least for p in proofs)
    gains = ", ".join(f"{p.gain:+.1f}" for p in proofs)
    head = ["seed", *labels, "gain", f"greedy, {labels[-2]} → {labels[-1]}", "time", "memory"]
    rows = []
    for proof in proofs:
        results = proof.results
        minutes, seconds = divmod(round(proof.usage.seconds), 60)
        rows.append(
            (
                proof.seed,
                *map(harness.interval, results),
                f"{proof.gain:+.1f}",
                f"{results[-2]['greedy']:.3f} → {results[-1]['greedy']:.3f}",
                f"{minutes} min {seconds:02d} s",
                f"{proof.usage.megabytes / 1024:.1f} GiB",
            )
        )
    last = proofs[0].results[-1]
    loads = ", ".join(f"{p.usage.load:.1f}" for p in proofs)
    return [
        f"# {config.stem}",
        "",
        f"`{labels[-1]}` gained {gains} points of held-out pass@1 over `{labels[-2]}`; "
        f"{reached} of {len(proofs)} seeds gained {least:g} or more.",
        "",
        "```bash",
        command,
        "```",
        "",
        *harness.table(head, rows),
        "",
        f"pass@1 at temperature 1 with its 95% interval (tasks are the clusters): {last['tasks']} "
        f"tasks of the {last['split']} split, {last['samples']} samples each, none of which any "
        f"stage has seen. Task set {last['fingerprint']}. Time is that of the whole "
        "command, and of stages that an interrupted one had finished; load average at the start: "
        f"{loads}. This page was written with "
        f"{harness.conditions(libraries=('torch', 'transformers', 'trl'))}.",
        "",
        f"![held-out reward by step, one line a seed]({config.stem}.svg)",
        "",
        *_audits(proofs),
        *_judging(proofs),
        *_shown(config, proofs[0]),
        "",
        *written,
        "## The recipe",
        "",
        "```yaml",
        config.read_text().strip(),
        "```",
    ]


def _audits(proofs: Sequence[Proof]) -> list[str]:
    """Return what tests say that the reward never used, where the environment has some."""
    audits = {proof.seed: audit_run(proof.folder) for proof in proofs}
    if not any(audits.values()):
        return []
    rows = [
        (seed, a.label, *map(_estimate, (a.reward, a.audit)), f"{a.only_reward} of {a.solved}")
        for seed, stages in audits.items()
        for a in stages
    ]
    head = ["seed", "stage", "reward's tests", "audit's tests", "pass the reward's alone"]
    return [
        "## The same programs by tests that the reward never used",
        "",
        "Each sample of the table above, judged by its reward's tests and by the audit's.",
        "",
        *harness.table(head, rows),
        "",
    ]


def _judging(proofs: Sequence[Proof]) -> list[str]:
    """Return what judging in other processes took, where there are such processes."""
    if not any(proof.usage.children for proof in proofs):
        return []
    label = proofs[0].results[-1]["label"]
    waiting = ", ".join(f"{proof.waiting():.1%}" for proof in proofs)
    busy = ", ".join(f"{p.usage.children / p.usage.seconds:.1%}" for p in proofs)
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
    if settings.env and registry.spec(settings.env.id).id == "rlenv/Wordle-v0":
        return wordle_games.sections(settings, proof.folder, [r["stage"] for r in proof.results])
    title = f"## The same prompts, answered greedily (seed {proof.seed})"
    return [title, "", *_side_by_side(proof)]


def _side_by_side(proof: Proof) -> list[str]:
    replies = proof.replies()
    rows = [
        [_code(of_stages[0].prompt)]
        + [f"{_code(sample.reply)} {'✓' if sample.solved else '✗'}" for sample in of_stages]
        for of_stages in list(zip(*replies.values(), strict=True))[:SHOWN]
    ]
    return harness.table(["prompt", *replies], rows)


def _estimate(e: Estimate) -> str:
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def _code(text: str) -> str:
    shown = re.sub(r"\s+", " ", text).replace("|", "\\|").replace("`", "'").strip()
    return f"`{shown[:60] or ' '}`"


def main() -> None:
    """Train and write."""
    parser = harness.parser(__doc__, seeds=[0, 1, 2], runs=Path("runs"), out=Path("docs/results"))
    parser.add_argument("config", type=Path)
    parser.add_argument("--gain", type=float, default=20, help="points that each should gain")
    asked = parser.parse_args()
    config, made = asked.config, asked.out / f"{asked.config.stem}.md"
    proofs = [run(config, seed, asked.runs) for seed in asked.seeds]
    curves = {f"seed {p.seed}": p.held_out() for p in proofs}
    chart = line_chart(curves, f"{config.stem}: reward on validation tasks")
    harness.write_page(made.with_suffix(".svg"), [chart])
    command = f"python benchmarks/recipe.py {config} --seeds {' '.join(map(str, asked.seeds))}"
    if asked.gain != parser.get_default("gain"):
        command += f" --gain {asked.gain:g}"
    harness.write_page(made, page(config, proofs, command, asked.gain, harness.by_hand(made)))


if __name__ == "__main__":
    main()
