"""Put evaluations of published models beside the figures that their makers report.

    python -m rlenv.eval MODEL benchmarks/real_models.yaml --dtype bfloat16 --output FOLDER
    python benchmarks/real_models.py FOLDER... [--out docs/results]

Each FOLDER holds the evaluations of one model. Writes `OUT/real_models.md`; what stands in it below
its last heading, where people explain the differences, stays as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlenv.evaluation import read_evaluation

SUITE = "benchmarks/real_models.yaml"
BY_HAND = "## Why they differ"
PUBLISHED = {  # by a part of the model's name and the evaluation's
    ("SmolLM2-135M", "GSM8K"): ("1.4", "model card, 5 examples in the prompt"),
    ("Qwen2.5-Coder-0.5B", "HumanEval"): ("61.6", "technical report, table 16"),
    ("Qwen2.5-Coder-0.5B", "MBPP"): ("52.4", "technical report, table 16, tests of EvalPlus"),
}
INTRODUCTION = f"""\
# Published models, evaluated here

`python benchmarks/real_models.py` wrote these tables, of one greedy reply to each task with no
examples in the prompt. The models are 4-bit GGUF files, unpacked; they generate in bfloat16:

```bash
python -m rlenv.eval MODEL {SUITE} --dtype bfloat16
```

Intervals are of 95%. Cut off: at the suite's limit of tokens. Unread: no answer in the form that
the task asks for. Tokens a second are of one core, which was shared with other jobs."""


def main() -> None:
    """Read the evaluations and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    path = asked.out / "real_models.md"
    kept = path.read_text(encoding="utf-8").partition(BY_HAND)[2] if path.exists() else "\n\n"
    lines = [*INTRODUCTION.splitlines()]
    for folder in asked.folders:
        lines += ["", *table(folder)]
    asked.out.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "", BY_HAND]) + kept, encoding="utf-8")
    print(path)


def table(folder: Path) -> list[str]:
    """Return a model's heading and its figures."""
    found = sorted(folder.glob("*/result.json"))
    if not found:
        raise SystemExit(f"{folder} holds no finished evaluations")
    results = {path.parent.name: read_evaluation(path.parent)[0] for path in found}
    name = Path(next(iter(results.values()))["model"]["name"]).name
    return [
        f"## {name}",
        "",
        "| tasks | right | published | cut off | unread | not judged | tokens a second |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row(name, label, result) for label, result in results.items()),
    ]


def row(name: str, label: str, r: Mapping[str, Any]) -> str:
    """Return an evaluation's figures."""
    published = [
        f"{figure} ({source})"
        for (model, tasks), (figure, source) in PUBLISHED.items()
        if model in name and tasks in label
    ]
    rates = [f"{100 * r[rate]:.0f}%" for rate in ("truncated", "unparseable", "grader_errors")]
    cells = [
        f"{label}, {r['tasks']}",
        f"{100 * r['pass_at_1']:.1f} [{100 * r['ci_low']:.1f}, {100 * r['ci_high']:.1f}]",
        *(published or [""]),
        *rates,
        f"{r['tokens'] / r['seconds']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
