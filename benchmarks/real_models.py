"""Put evaluations of published models beside the figures that their makers report.

    python -m rlenv.eval MODEL benchmarks/real_models.yaml --dtype bfloat16 --output FOLDER
    python benchmarks/real_models.py FOLDER... [--out docs/results]

Each FOLDER holds the evaluations of one model. Writes `OUT/real_models.md`; what people say in it
of the differences, between `<!-- by hand -->` and `<!-- end -->`, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness

from rlenv.evaluation import read_evaluation

SUITE = "benchmarks/real_models.yaml"
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


HEAD = ["tasks", "right", "published", "cut off", "unread", "not judged", "tokens a second"]


def main() -> None:
    """Read the evaluations and write the page."""
    parser = harness.parser(__doc__, out=Path("docs/results"))
    parser.add_argument("folders", type=Path, nargs="+")
    asked = parser.parse_args()
    path = asked.out / "real_models.md"
    tables = [line for folder in asked.folders for line in of_model(folder)]
    harness.write_page(path, [*INTRODUCTION.splitlines(), *tables, "", *harness.by_hand(path)])


def of_model(folder: Path) -> list[str]:
    """Return a model's heading and its figures."""
    found = sorted(folder.glob("*/result.json"))
    if not found:
        raise SystemExit(f"{folder} holds no finished evaluations")
    results = {path.parent.name: read_evaluation(path.parent)[0] for path in found}
    name = Path(next(iter(results.values()))["model"]["name"]).name
    rows = [cells(name, label, result) for label, result in results.items()]
    return ["", f"## {name}", "", *harness.table(HEAD, rows)]


def cells(name: str, label: str, r: Mapping[str, Any]) -> list[str]:
    """Return an evaluation's figures."""
    published = [
        f"{figure} ({source})"
        for (model, tasks), (figure, source) in PUBLISHED.items()
        if model in name and tasks in label
    ]
    return [
        f"{label}, {r['tasks']}",
        harness.interval(r, digits=1, scale=100),
        *(published or [""]),
        *(f"{100 * r[rate]:.0f}%" for rate in ("truncated", "unparseable", "grader_errors")),
        f"{r['tokens'] / r['seconds']:.0f}",
    ]


if __name__ == "__main__":
    main()
