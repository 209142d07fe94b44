"""Text that rlenv writes itself, and local copies of data sets in place of a hub."""

import collections
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

from rlenv.common.errors import UserError
from rlenv.core.rows import is_made, load_rows, local_copies
from rlenv.data.generated import SOURCES
from rlenv.data.generated.instructions import SKILLS
from rlenv.data.generated.lexicon import lexicon
from rlenv.data.pipeline import sources
from rlenv.data.preferences import pairs_of


@pytest.mark.parametrize("name", SOURCES)
def test_rows_are_different_and_those_of_a_smaller_count_are_the_first(name):
    few, many = (load_rows(f"generated:{name}:{count}") for count in (50, 400))
    assert list(few) == list(many)[:50]
    assert len({json.dumps(row) for row in many}) == 400
    assert all(value.strip() == value and value for row in many for value in row.values())


def test_the_rows_do_not_depend_on_the_process():
    code = (
        "import hashlib, json; from rlenv.core.rows import load_rows; "
        "print(hashlib.sha256(json.dumps([load_rows(f'generated:{n}:200') for n in "
        "('documents', 'instructions', 'preferences', 'courtesy')]).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_documents_have_breadth():
    texts = [row["text"] for row in load_rows("generated:documents:1000")]
    words = collections.Counter(w for text in texts for w in re.findall(r"[a-z]+", text.lower()))
    assert len(words) > 900
    openings = collections.Counter(text[:20] for text in texts)
    assert openings.most_common(1)[0][1] < len(texts) / 15
    known = lexicon()
    for kind in ("animals", "foods", "tools", "jobs", "places", "chores"):
        missing = [name for name in known[kind] if not any(name in text for text in texts)]
        assert not missing, kind


def test_replies_are_right():
    known = lexicon()
    seen = collections.Counter()
    for row in load_rows("generated:instructions:4000"):
        prompt, reply, skill = row["prompt"], row["completion"], row["skill"]
        if skill == "capital":
            country = re.search(r"capital of (.*?)[.?]", prompt)[1]
            assert known["places"][reply.rstrip(".").rsplit(" is ", 1)[1]][0] == country
        elif skill == "sum":
            one, two = map(int, re.findall(r"\d+", prompt))
            wanted = one + two if "buys" in prompt else one - two
            assert re.findall(r"\d+", reply) == [str(wanted)]
            assert wanted >= 0
        elif skill == "sort":
            given = prompt.partition(": ")[2].split(", ")
            assert reply.lower().rstrip(".").split(", ") == sorted(given)
        elif skill == "spell":
            asked = re.search(r"the word (\w+)", prompt)[1]
            assert reply.rstrip(".").replace("-", "").lower() == asked
        elif skill == "letters":
            asked = re.search(r"the word (\w+)", prompt)[1]
            assert re.search(r"\d+", reply)[0] == str(len(asked))
        elif skill == "odd_one_out":
            kinds = [known["foods"][w][0] for w in re.findall(r"\w+", prompt.partition(":")[2])
                     if w in known["foods"]]  # fmt: skip
            odd = reply.split()[0].lower()
            assert kinds.count(known["foods"][odd][0]) == 1
        seen[skill] += 1
    assert set(seen) == set(SKILLS)
    assert min(seen.values()) >= 10


def _features(text, size=4096):
    """Counts of words and pairs of words, hashed."""
    found = np.zeros(size)
    words = re.findall(r"[\w']+|[.?!\"]", text.lower())
    for word in [*words, *map(" ".join, itertools.pairwise(words))]:
        found[sum(ord(c) * 31**i for i, c in enumerate(word[:12])) % size] += 1
    return found


def _accuracy(rows):
    """How often logistic regression on the replies alone finds the chosen one, held out."""
    difference = np.array([_features(r["chosen"]) - _features(r["rejected"]) for r in rows])
    train, held = difference[: len(rows) * 3 // 4], difference[len(rows) * 3 // 4 :]
    weights = np.zeros(difference.shape[1])
    for _ in range(300):
        p = 1 / (1 + np.exp(-train @ weights))
        weights += 0.5 * (train.T @ (1 - p) / len(train) - 1e-4 * weights)
    return float((held @ weights > 0).mean())


@pytest.mark.parametrize("name", ["preferences", "courtesy"])
def test_which_reply_is_better_depends_on_the_prompt(name):
    rows = load_rows(f"generated:{name}:3000")
    assert _accuracy(rows) < 0.8  # what can be seen without the prompt
    if name == "preferences":  # many a rejected reply is the chosen one of another prompt
        chosen = {row["chosen"] for row in rows}
        assert sum(row["rejected"] in chosen for row in rows) > len(rows) / 10
    assert all(row["chosen"] != row["rejected"] for row in rows)
    assert len(list(pairs_of(rows[0]))) == 1


def test_unknown_sources_and_counts_are_told():
    with pytest.raises(UserError, match=r"Did you mean generated:documents\?"):
        load_rows("generated:document")
    for count in ("many", "0", "100001"):
        with pytest.raises(UserError, match="is not a number of rows from 1 to 100,000"):
            load_rows(f"generated:documents:{count}")


@pytest.mark.parametrize("name", ["generated:documents:300", "python_topics"])
def test_the_text_pipeline_reads_them_in_chunks(name):
    source = sources.InputSettings(path=name)
    whole = [document.text for chunk in sources.chunks(source, 1 << 30)
             for document in sources.read(chunk)]  # fmt: skip
    cut = list(sources.chunks(source, 10_000))
    assert len(cut) > 3
    assert [d.text for chunk in cut for d in sources.read(chunk)] == whole
    assert whole == [row["text"] for row in load_rows(name)]


def test_python_docs_are_long_texts_each_once():
    assert is_made("python_docs")
    texts = [row["text"] for row in load_rows("python_docs")]
    assert len(texts) == len(set(texts)) > 500
    assert all(len(text) >= 200 for text in texts)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    for name, parts in {"openai/sums": ("train", "test"), "plain": ("all",)}.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for part in parts:
            line = json.dumps({"question": part, "answer": "#### 1"})
            (folder / f"{part}.jsonl").write_text(line + "\n")
    (tmp_path / "single.jsonl").write_text('{"text": "one"}\n')
    monkeypatch.setenv("RLENV_DATA_ROOT", str(tmp_path))


def test_a_local_copy_is_taken_in_place_of_the_hub(copies):
    assert load_rows("openai/sums:main", part="test")[0]["question"] == "test"
    assert [row["question"] for row in load_rows("openai/sums")] == ["test", "train"]
    assert load_rows("somebody/plain", part="train")[0]["question"] == "all"
    assert list(sources.texts(["owner/single"])) == ["one"]
    assert local_copies("owner/other", None) is None
    with pytest.raises(UserError, match="has no part 'dev' of openai/sums; it has test, train"):
        load_rows("openai/sums", part="dev")


def test_a_run_names_the_folder_with_copies(copies, tmp_path, monkeypatch):
    from rlenv.run import config
    from rlenv.runner import runner
    from rlenv.trainers import stage_class

    monkeypatch.delenv("RLENV_DATA_ROOT")
    raw = {
        "run_dir": str(tmp_path / "run"),
        "env": {"id": "rlenv/GSM8K-v0", "source": "openai/sums"},
        "stages": {"tokenizer": {"corpus": ["tasks"]}},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(raw))
    settings = config.read(path, [f"data_root={tmp_path}"])
    runner.check(settings, "run.yaml", stage_class)
    assert load_rows("openai/sums", part="train")[0]["question"] == "train"
    with pytest.raises(UserError, match="data_root nowhere is no folder"):
        runner.check(config.read(path, ["data_root=nowhere"]), "run.yaml", stage_class)
