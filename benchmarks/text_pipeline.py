"""The text pipeline beside datatrove: verdicts document by document, near-duplicates, and time.

    python -m venv DIR
    DIR/bin/pip install datatrove==0.10.1 "xxhash<4" spacy nltk tokenizers orjson
    python benchmarks/text_pipeline.py DATA --datatrove DIR/bin/python [--json OUT]

DATA is a folder of text. Both get the same documents (DATA cut into pieces) and the same
thresholds. The time is that of the processor, on one thread, with what is read and written left
out; the documents pass through the four rules in turn, so both may keep what they computed of one.
The last part runs configs/text.yaml's steps as a whole on one process, files and all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import harness

RULES = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
PIECE = 5000  # characters
PLANTED = 1500
BINS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


def theirs(folder: Path) -> None:
    """Run datatrove on the documents in a folder, and leave what it found there."""
    from datatrove.data import Document
    from datatrove.pipeline import filters
    from loguru import logger

    logger.remove()
    rules = {
        "gopher_quality": filters.GopherQualityFilter(),
        "gopher_repetition": filters.GopherRepetitionFilter(),
        "c4": filters.C4QualityFilter(min_num_sentences=3, min_words_per_line=5),
        # here a line of so many characters is short, and in the paper one of fewer
        "fineweb": filters.FineWebQualityFilter(char_duplicates_ratio=0.1, short_line_length=29),
    }
    texts = [json.loads(line)["text"] for line in (folder / "documents.jsonl").open()]
    for rule in rules.values():  # what is loaded on first use is not what is measured
        rule.filter(Document(text="It is a line of text. " * 20, id="warm"))
    verdicts: dict[str, list[str | None]] = {name: [] for name in rules}
    seconds = dict.fromkeys(rules, 0.0)
    for number, text in enumerate(texts):
        for name, rule in rules.items():
            began = time.process_time()
            found = rule.filter(Document(text=text, id=str(number)))
            seconds[name] += time.process_time() - began
            verdicts[name].append(None if found is True else found[1])
    dropped, minhash = their_minhash(folder)
    record = {"verdicts": verdicts, "seconds": seconds, "dropped": dropped, "minhash": minhash}
    (folder / "theirs.json").write_text(json.dumps(record))


def their_minhash(folder: Path) -> tuple[list[int], float]:
    """Return what datatrove's MinHash drops of the planted corpus, and its seconds."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    config = minhash.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    read = JsonlReader(str(folder / "planted"))
    work = folder / "minhash"
    signatures, buckets, drop = (str(work / name) for name in ("signatures", "buckets", "drop"))
    dropped = JsonlWriter(str(work / "dropped"), compression=None)
    stages: list[tuple[list[Any], int]] = [
        ([read, minhash.MinhashDedupSignature(signatures, config=config)], 1),
        ([minhash.MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets),
        ([minhash.MinhashDedupCluster(buckets, drop, config=config)], 1),
        ([read, minhash.MinhashDedupFilter(drop, exclusion_writer=dropped)], 1),
    ]
    began = sum(os.times()[:4])  # it starts processes of its own
    for number, (stage, tasks) in enumerate(stages):
        LocalPipelineExecutor(
            stage, tasks=tasks, workers=1, logging_dir=str(work / f"logs{number}")
        ).run()
    spent = sum(os.times()[:4]) - began
    lines = [line for file in sorted((work / "dropped").rglob("*.jsonl")) for line in file.open()]
    return sorted(int(json.loads(line)["id"]) for line in lines), spent


def ours(texts: list[str], splitter: str) -> tuple[dict[str, list[str | None]], dict[str, float]]:
    """Return the verdict of each rule on each document, and the seconds of each rule."""
    from rlenv.data.pipeline import steps
    from rlenv.data.pipeline.document import Document

    rules = {name: steps.make(name) for name in RULES}
    verdicts: dict[str, list[str | None]] = {name: [] for name in rules}
    seconds = dict.fromkeys(rules, 0.0)
    for number, text in enumerate(texts):
        document = Document(str(number), text, {}, splitter)  # type: ignore[arg-type]
        for name, rule in rules.items():
            began = time.process_time()
            verdicts[name].append(next(rule.reasons(rule.edit(document, Counter())), None))
            seconds[name] += time.process_time() - began
    return verdicts, seconds


def our_minhash(texts: list[str]) -> tuple[list[int], float]:
    """Return what our MinHash drops, and its seconds."""
    import numpy as np

    from rlenv.data.pipeline import steps
    from rlenv.data.pipeline.document import Document

    step: Any = steps.make("minhash")
    began = time.process_time()
    signatures = np.array([step.signature(Document("", text)) for text in texts])
    originals = step.originals(signatures)
    spent = time.process_time() - began
    return np.flatnonzero(originals != np.arange(len(texts))).tolist(), spent


def plant(texts: list[str]) -> tuple[list[str], list[tuple[int, float]]]:
    """Append copies in which words are replaced; return all texts, and (place, similarity) of each.

    The similarity is the exact Jaccard index of the two sets of word 5-grams; it is spread evenly
    over 0.7 to 1, and one copy in ten is exact.
    """
    from rlenv.data.ngrams import ngrams
    from rlenv.data.word_hashes import fold

    rng = random.Random(0)
    grams = [set(ngrams(fold(text), 5).tolist()) for text in texts]
    distinct = [i for i, (t, g) in enumerate(zip(texts, grams, strict=True)) if len(g) > 300]
    chosen = rng.sample(distinct, min(PLANTED, len(distinct) // 2))
    corpus, planted = list(texts), []
    for number, place in enumerate(chosen):
        words = texts[place].split(" ")
        goal = 1.0 if number % 10 == 0 else rng.uniform(0.7, 1.0)
        while goal < 1:
            for _ in range(4):
                words[rng.randrange(len(words))] = f"changed{rng.randrange(10**6)}"
            copy = set(ngrams(fold(" ".join(words)), 5).tolist())
            if len(copy & grams[place]) / len(copy | grams[place]) <= goal:
                break
        copy = set(ngrams(fold(" ".join(words)), 5).tolist())
        planted.append((len(corpus), len(copy & grams[place]) / len(copy | grams[place])))
        corpus.append(" ".join(words))
    return corpus, planted


def agreement(a: list[str | None], b: list[str | None]) -> dict[str, Any]:
    """Compare two lists of verdicts: None keeps a document, a reason drops it."""
    pairs = [(x is None, y is None) for x, y in zip(a, b, strict=True)]
    return {
        "agree": sum(x == y for x, y in pairs) / len(pairs),
        "both_drop": pairs.count((False, False)),
        "only_ours": pairs.count((False, True)),
        "only_theirs": pairs.count((True, False)),
    }


def recall(dropped: list[int], planted: list[tuple[int, float]]) -> dict[str, Any]:
    """Return the share of planted copies that were found, by their similarity."""
    found, table = set(dropped), {}
    for low, high in zip(BINS, (*BINS[1:], 1.01), strict=True):
        here = [place in found for place, similarity in planted if low <= similarity < high]
        name = "1 (exact)" if low == 1 else f"{low:.2f} to {high:.2f}"
        table[name] = {"planted": len(here), "found": sum(here) / max(1, len(here))}
    alike = [place in found for place, similarity in planted if similarity >= 0.75]
    table["0.75 or more"] = {"planted": len(alike), "found": sum(alike) / len(alike)}
    return table


def whole_pipeline(data: Path) -> dict[str, Any]:
    """Run all steps of the pipeline on one process, classifiers included."""
    from rich.console import Console

    from rlenv.common.display import Display
    from rlenv.common.settings import read_mapping
    from rlenv.data.pipeline import pipeline, settings

    raw = read_mapping(Path(__file__).parent.parent / "configs" / "text.yaml", "input:")
    books = ("moby-dick.jsonl", "tinyshakespeare.txt")
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.txt"
        words.write_text("scoundrel\nrotten apple\n")
        files = sorted(p for p in data.iterdir() if p.suffix in (".jsonl", ".txt"))
        raw["input"] = [
            {"path": str(p), **({"cut": 20000} if p.name in books else {})} for p in files
        ]
        raw.update(out=str(Path(folder) / "out"), processes=1)
        learn = {"good": [str(files[0])], "random": [str(files[1])], "min_score": 0.0}
        last = {"decontaminate": {"environments": "all"}, "exact": {}, "minhash": {}}
        steps = {name: step for name, step in raw["steps"].items() if name not in last}
        raw["steps"] = {**steps, "quality": learn, "safety": {"words": str(words)}, **last}
        quiet = Display(Console(quiet=True))
        began = time.process_time()
        first = settings.parse(raw, "text.yaml")
        pipeline.run(first, quiet)
        with_preparation = time.process_time() - began
        # once more, from what the first run prepared: the classifier and the held-out n-grams
        again = first.model_copy(update={"out": str(Path(folder) / "again")})
        shutil.copytree(Path(first.out) / "steps", Path(again.out) / "steps")
        shutil.copy(Path(first.out) / "plan.json", again.out)
        began, wall = time.process_time(), time.perf_counter()
        report = pipeline.run(again, quiet)
        spent, wall = time.process_time() - began, time.perf_counter() - wall
        megabytes = sum(p.stat().st_size for p in files) / 1e6
    return {
        "steps": list(report["steps"]),
        "megabytes": megabytes,
        "processor_seconds": round(spent, 2),
        "megabytes_per_processor_second": round(megabytes / spent, 2),
        "wall_seconds": round(wall, 2),
        "processor_seconds_with_preparation": round(with_preparation, 2),
        "documents": report["documents"],
    }


def main() -> None:
    """Compare, and print what came of it."""
    parser = harness.parser(__doc__, json=None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--datatrove", help="a Python that has datatrove")
    parser.add_argument("--documents", type=int, help="compare on so many, spread over DATA")
    parser.add_argument("--whole", action="store_true", help="measure the whole pipeline alone")
    parser.add_argument("--theirs", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.theirs:
        theirs(asked.data)
        return
    result: dict[str, Any] = {"conditions": harness.conditions(libraries=("numpy", "rensa"))}
    if not asked.whole:
        result |= compare(asked.data, asked.datatrove, asked.documents)
    if asked.whole or asked.documents is None:
        result["whole_pipeline"] = whole_pipeline(asked.data)
    print(json.dumps(result, indent=1))
    harness.write_json(asked.json, result)


def compare(data: Path, python: str | None, most: int | None) -> dict[str, Any]:
    """Run the rules and MinHash of both on the same documents."""
    from rlenv.data.pipeline import sources

    source = sources.InputSettings(path=str(data), cut=PIECE)
    texts = [d.text for chunk in sources.chunks(source, 1 << 26) for d in sources.read(chunk)]
    if most is not None:
        texts = [texts[i * len(texts) // most] for i in range(min(most, len(texts)))]
    corpus, planted = plant(texts)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    result: dict[str, Any] = {"documents": len(texts), "megabytes": megabytes}
    dropped, spent = our_minhash(corpus)
    result["minhash"] = {"ours": recall(dropped, planted), "ours_seconds": spent}
    runs = {splitter: ours(texts, splitter) for splitter in ("spaces", "punctuation")}
    result["ours_seconds"] = {splitter: seconds for splitter, (_, seconds) in runs.items()}
    if python is None:
        return result
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "planted").mkdir()
        for path, of in (("documents.jsonl", texts), ("planted/all.jsonl", corpus)):
            lines = (json.dumps({"text": t, "id": str(i)}) + "\n" for i, t in enumerate(of))
            (folder / path).write_text("".join(lines))
        subprocess.run([python, __file__, str(folder), "--theirs"], check=True, stdout=sys.stderr)
        found = json.loads((folder / "theirs.json").read_text())
    result["agreement"] = {
        splitter: {name: agreement(verdicts[name], found["verdicts"][name]) for name in RULES}
        for splitter, (verdicts, _) in runs.items()
    }
    result["datatrove_seconds"] = found["seconds"]
    result["minhash"] |= {
        "datatrove": recall(found["dropped"], planted),
        "datatrove_seconds": found["minhash"],
    }
    return result


if __name__ == "__main__":
    main()
