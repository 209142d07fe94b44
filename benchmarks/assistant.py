"""From raw text to a small assistant, measured: what docs/results/assistant.md shows.

python benchmarks/assistant.py

Cleans the text that configs/text.yaml names, keeps 2% of the documents back, carries out
configs/assistant.yaml, and measures bits per byte of the documents kept back beside byte n-grams
and gzip, before and after fine-tuning, and once more after fine-tuning without text mixed in.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import harness
import runs
import yaml

from rlenv.cli import data
from rlenv.core.rows import load_rows
from rlenv.engines.base import Sampling
from rlenv.evaluation.bits_per_byte import baselines, model_bits
from rlenv.evaluation.side_by_side import SideBySide, answer
from rlenv.models import checkpoint
from rlenv.reports.answers_page import markdown

CLEAN, SPLIT = Path("runs/text"), Path("runs/assistant-text")
RUN, PLAIN = Path("runs/assistant"), Path("runs/assistant-without-text")
PAGE = Path("docs/results/assistant.md")
PROMPTS = [
    "What is the capital of Italy?",
    "Name three colours.",
    "Write a sentence about the sea.",
    "Convert 3 hours to minutes.",
    "Give a synonym for 'large'.",
    "Correct the grammar.\n\nShe don't like apples.",
    "Who wrote Moby-Dick?",
    "Translate into French.\n\nGood morning",
    "How do you open a file in Python?",
    "Say in one sentence why the sky is blue.",
]


def main() -> None:
    """Run everything that is not done yet, and write the page."""
    harness.parser(__doc__).parse_args()
    began = time.monotonic()
    if code := data.main(["run", "configs/text.yaml"]):
        raise SystemExit(code)
    kept, held = split()
    command = [sys.executable, "-m", "rlenv.train", "configs/assistant.yaml"]
    harness.carry_out(command, RUN / "usage.json")
    seconds = {k: v["seconds"] for k, v in json.loads((RUN / "stages.json").read_text()).items()}
    without_text()
    sources = {"base": RUN / "pretrain", "sft": RUN / "sft", "sft without text": PLAIN / "sft"}
    found = baselines(kept, held, [1, 5, 8])
    for name, source in sources.items():
        found[name] = model_bits(*checkpoint.load(str(source), device="cpu"), held)
    harness.write_page(PAGE, page(found, kept, held, seconds, sources).splitlines())
    print(f"after {time.monotonic() - began:.0f} s")


def split() -> tuple[list[str], list[str]]:
    """Keep 2% of the cleaned documents back; return the others and them."""
    texts = [row["text"] for part in sorted(CLEAN.glob("part-*.jsonl")) for row in load_rows(part)]
    random.Random("assistant").shuffle(texts)
    count = len(texts) // 50
    held, kept = texts[:count], texts[count:]
    for name, some in (("held-out", held), ("train", kept)):
        folder = SPLIT / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"text": one}, ensure_ascii=False) + "\n" for one in some)
        (folder / "text.jsonl").write_text("".join(lines), encoding="utf-8")
    return kept, held


def without_text() -> None:
    """Fine-tune once more, on the instructions alone."""
    plain = yaml.safe_load(Path("configs/assistant.yaml").read_text(encoding="utf-8"))
    sft = plain.pop("stages")["sft"]
    del sft["text"], sft["text_share"], plain["run_dir"]
    runs.train(PLAIN, {"sft": sft}, **{**plain, "model": str(RUN / "pretrain")})


def page(
    found: dict[str, float],
    kept: list[str],
    held: list[str],
    seconds: dict[str, float],
    sources: dict[str, Path],
) -> str:
    """Return the page of results."""
    model, _ = checkpoint.load(str(RUN / "sft"), device="cpu")
    size = sum(p.numel() for p in model.parameters())
    tokens = max(m.get("num_tokens", 0) for m in runs.metrics(RUN, "pretrain"))
    times = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
    bits = [(name, f"{value:.3f}") for name, value in found.items()]
    losses = []
    for name in ("sft", "sft without text"):
        logged = runs.metrics(sources[name].parent, "sft")
        looked = [m["held_out/loss"] for m in logged if "held_out/loss" in m]
        losses.append((name, f"{looked[0]:.3f}", f"{looked[-1]:.3f}"))
    return f"""# From raw text to a small assistant

`python benchmarks/assistant.py` wrote this page, with configs/text.yaml and configs/assistant.yaml:
a decoder of {size / 1e6:.2f} million parameters, pretrained on {tokens / 1e6:.1f} million tokens of
{mega(kept):.1f} MB of cleaned text, then fine-tuned on instructions. On one core of a busy machine,
wall-clock: {times}.

## Bits per byte of text kept back

{len(held)} documents, {mega(held):.2f} MB; pieces of a book may have neighbours in the training
text. A model reads 256 tokens at a time, in windows that overlap by half.

{table(["", "bits per byte"], bits)}

n-grams are interpolated Kneser-Ney on bytes, counted on all of the training text. gzip learns
nothing in advance: it packs all documents in one stream, and is given the last 32 kB of the
training text, which is as far back as it looks. "sft without text" was fine-tuned on the
instructions alone.

## Instructions kept back

Mean loss of reply tokens in nats, at the first look and at the end:

{table(["", "first", "last"], losses)}

## Answers, greedy

{markdown(answers(sources))}
A model of this size that has read a few megabytes has learned what a reply looks like, not what is
true.
"""


def table(head: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join(harness.table(head, rows))


def answers(sources: dict[str, Path]) -> SideBySide:
    """Let checkpoints answer the same prompts."""
    prompts = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    made = SideBySide(prompts, [""] * len(prompts))
    for name, source in sources.items():
        sampling = Sampling(temperature=0.0, max_tokens=48)
        made.answers[name], made.cut[name] = answer(str(source), prompts, sampling, device="cpu")
    return made


def mega(texts: list[str]) -> float:
    """Return the megabytes of texts."""
    return sum(len(one.encode()) for one in texts) / 1e6


if __name__ == "__main__":
    main()
