"""The pipeline as a whole: same bytes however it is run, every document accounted for."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from rich.console import Console

from rlenv.cli import main
from rlenv.common import plugins
from rlenv.common.display import Display
from rlenv.common.errors import UserError
from rlenv.data.pipeline import pipeline, sources
from rlenv.data.pipeline import settings as settings_file
from rlenv.data.pipeline.sources import InputSettings
from tests.conftest import ROOT

STEPS = {"normalise": {}, "personal": {}, "gopher_repetition": {}, "exact": {}, "minhash": {}}


def sentences(rng, count):
    words = [f"w{i}" for i in range(3000)]
    return [" ".join(rng.choices(words, k=12)).capitalize() + "." for _ in range(count)]


def write_rows(path, texts):
    path.write_text(
        "".join(json.dumps({"text": text, "n": i}) + "\n" for i, text in enumerate(texts))
    )
    return path


@pytest.fixture
def corpus(tmp_path):
    """120 different documents, and after them ten copies and ten near-copies."""
    rng = random.Random(0)
    texts = ["\n".join(sentences(rng, 20)) for _ in range(120)]
    near = []
    for text in texts[:10]:
        lines = text.split("\n")
        lines[7] = sentences(rng, 1)[0]
        near.append("\n".join(lines))
    return write_rows(tmp_path / "corpus.jsonl", [*texts, *texts[20:30], *near])


def made(corpus, out, **more):
    raw = {"input": [str(corpus)], "out": str(out), "steps": STEPS, "processes": 1, **more}
    return settings_file.parse({"chunk_megabytes": 0.03, **raw}, "test")


def run(settings):
    return pipeline.run(settings, Display(Console(quiet=True)))


def result(out):
    return {p.name: p.read_bytes() for p in sorted(Path(out).glob("*.jsonl"))}


def test_every_document_is_accounted_for(corpus, tmp_path):
    report = run(made(corpus, tmp_path / "out", keep_dropped=True))
    assert report["documents"] == {"read": 140, "kept": 120}
    assert report["steps"]["exact"]["dropped"] == {"the same text": 10}
    assert report["steps"]["minhash"]["dropped"] == {"nearly the same text": 10}
    lines = [json.loads(line) for name, part in result(tmp_path / "out").items()
             if name.startswith("part") for line in part.splitlines()]  # fmt: skip
    assert [line["n"] for line in lines] == list(range(120))  # of duplicates the first stays
    rows = [json.loads(row) for row in corpus.read_text().splitlines()]
    assert [line["text"] for line in lines] == [row["text"] for row in rows[:120]]
    dropped = [json.loads(line) for name, part in result(tmp_path / "out").items()
               if name.startswith("dropped") for line in part.splitlines()]  # fmt: skip
    assert {(d["n"], d["dropped_by"]) for d in dropped} == {
        *((n, "exact") for n in range(120, 130)),
        *((n, "minhash") for n in range(130, 140)),
    }
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report


def test_the_result_does_not_depend_on_processes(corpus, tmp_path):
    run(made(corpus, tmp_path / "one"))
    run(made(corpus, tmp_path / "two", processes=2))
    assert result(tmp_path / "one") == result(tmp_path / "two")
    assert len(result(tmp_path / "one")) > 3


def test_worker_processes_import_what_their_steps_need_and_nothing_else(corpus, tmp_path):
    """A step from a file reaches them; another file that this program imported does not."""
    here = tmp_path / "here.py"
    here.write_text(f"import os\nassert os.getpid() == {os.getpid()}\n")
    plugins.import_file(here)
    filters = ROOT / "tests" / "plugin" / "rlenv_demo" / "text_filter.py"
    steps = {**STEPS, f"{filters}:no_shouting": {}}
    run(made(corpus, tmp_path / "one", steps=steps))
    run(made(corpus, tmp_path / "two", steps=steps, processes=2))
    assert result(tmp_path / "one") == result(tmp_path / "two")


def test_the_documents_do_not_depend_on_the_chunks(corpus, tmp_path):
    parts = []
    for megabytes in (0.0011, 0.5):
        out = tmp_path / str(megabytes)
        run(made(corpus, out, chunk_megabytes=megabytes))
        parts.append(b"".join(result(out).values()))
    assert parts[0] == parts[1]


def test_a_killed_run_goes_on_and_repeats_nothing(corpus, tmp_path):
    run(made(corpus, tmp_path / "whole"))
    config = tmp_path / "text.yaml"
    raw = {"input": str(corpus), "out": str(tmp_path / "killed"), "steps": STEPS,
           "processes": 2, "chunk_megabytes": 0.03}  # fmt: skip
    config.write_text(json.dumps(raw))
    command = [sys.executable, "-m", "rlenv", "data", "run", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, start_new_session=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    work = tmp_path / "killed" / "work" / "phase-0"
    deadline = time.monotonic() + 120
    while not list(work.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {p: p.stat().st_mtime_ns for p in work.glob("*.json")}
    assert finished
    seen = {}

    class Watching(Display):
        def begin(self, stage, total):
            seen.update({p: p.stat().st_mtime_ns for p in finished if p.exists()})
            super().begin(stage, total)

        def end(self):
            assert all(p.stat().st_mtime_ns == before for p, before in finished.items())
            super().end()

    settings = settings_file.read(config)
    pipeline.run(settings, Watching(Console(quiet=True)))
    assert seen == finished
    assert result(tmp_path / "killed") == result(tmp_path / "whole")


def test_a_finished_run_is_not_done_again(corpus, tmp_path):
    report = run(made(corpus, tmp_path / "out"))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.name != ".lock"}
    assert run(made(corpus, tmp_path / "out")) == report
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.name != ".lock"}
    assert before == after


def test_another_configuration_or_source_is_refused(corpus, tmp_path):
    run(made(corpus, tmp_path / "out"))
    with pytest.raises(UserError, match="another configuration"):
        run(made(corpus, tmp_path / "out", steps={"normalise": {}}))
    corpus.write_text(corpus.read_text() + json.dumps({"text": "more"}) + "\n")
    with pytest.raises(UserError, match="sources have changed"):
        run(made(corpus, tmp_path / "out"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match=r"no pipeline made \(thesis.tex\)"):
        run(made(corpus, tmp_path / "other"))


def test_the_result_is_a_source(corpus, tmp_path):
    run(made(corpus, tmp_path / "out", keep_dropped=True))
    assert len(list(sources.texts([str(tmp_path / "out")]))) == 120


TEXTS = ["first text\n", "second, ünïcödé\u2028text", "", "last"]


def read_all(path, size=1 << 20, **more):
    source = InputSettings(path=str(path), **more)
    return [d for chunk in sources.chunks(source, size) for d in sources.read(chunk)]


@pytest.mark.parametrize("size", [1, 7, 40, 1 << 20])
def test_every_kind_of_source(tmp_path, size, monkeypatch):
    rows = [{"text": text, "n": i} for i, text in enumerate(TEXTS)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines.rstrip("\n"), encoding="utf-8")
    with gzip.open(tmp_path / "a.json.gz", "wt", encoding="utf-8") as file:
        file.write(lines)
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=2)
    for name in ("a.jsonl", "a.json.gz", "a.parquet"):
        found = read_all(tmp_path / name, size)
        assert [(d.text, d.fields) for d in found] == [(t, {"n": i}) for i, t in enumerate(TEXTS)]
        assert len({d.id for d in found}) == len(TEXTS)
    (tmp_path / "b.txt").write_bytes(b"one\r\ntwo")
    assert [d.text for d in read_all(tmp_path / "b.txt", size)] == ["one\r\ntwo"]
    assert len(read_all(tmp_path, size)) == 3 * len(TEXTS) + 1
    assert len(read_all(tmp_path / "*.parquet", size)) == len(TEXTS)

    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: datasets.Dataset.from_list(rows))
    sources.load_dataset.cache_clear()
    assert [d.text for d in read_all("some/where:en", size)] == TEXTS
    sources.load_dataset.cache_clear()


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=12), st.integers(1, 80)
)
def test_chunks_of_jsonl_miss_nothing_and_repeat_nothing(tmp_path_factory, texts, size):
    path = tmp_path_factory.mktemp("chunks") / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts), encoding="utf-8"
    )
    assert [d.text for d in read_all(path, size)] == texts


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \n"), max_size=400), st.integers(100, 200))
def test_pieces_join_to_the_text(text, most):
    parts = list(sources.pieces(text, most))
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "byte 14: no JSON"),
        ("a.jsonl", b'["x"]\n', "no JSON object"),
        ("a.jsonl", b'{"body": "x", "id": 1}\n', "no column 'text', it has body, id"),
        ("a.jsonl", b'{"text": 3}\n', "holds no text"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.parquet", b"nothing", "no Parquet file"),
        ("a.jsonl.gz", b"nothing", "damaged"),
    ],
)
def test_damaged_sources(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_all(tmp_path / name)


def test_missing_sources(tmp_path):
    for name in (tmp_path / "no.jsonl", "no/such.jsonl", tmp_path / "*.txt"):
        with pytest.raises(UserError):
            sources.expand(str(name))
    with pytest.raises(UserError, match="holds no file"):
        sources.expand(str(tmp_path))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"steps": {"gofer_quality": {}}}, "Did you mean gopher_quality"),
        ({"steps": {"c4": {"min_word": 3}}}, r"steps\.c4\.min_word is not a setting. Did you mean"),
        ({"proceses": 3}, "Did you mean processes"),
        ({"input": [{"path": "x", "column": "t"}]}, "column is not a setting"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path, capsys, raw, message):
    config = tmp_path / "text.yaml"
    config.write_text(json.dumps({"input": "a.jsonl", "out": "out", "steps": STEPS, **raw}))
    assert main.main(["data", "run", str(config)]) == 2
    import re

    assert re.search(message, capsys.readouterr().err)


def test_the_commands(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "text.yaml"
    config.write_text(json.dumps({"input": str(corpus), "out": "out", "steps": STEPS}))
    assert main.main(["data", "run", str(config), "processes=1", "steps.minhash.bands=16"]) == 0
    said = capsys.readouterr().out
    assert "kept 120 of 140 documents" in said
    assert "nearly the same text 10" in said
    assert main.main(["data", "inspect", str(corpus), "--json", "--show", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["documents"] == 140
    assert found["rules"]["exact"]["documents"] == 10
    assert found["rules"]["minhash"]["documents"] == 20  # alone, it finds the exact ones too
    assert len(found["samples"]) == 2
    assert found["lengths"]["words"]["median"] == 240
    assert main.main(["data", "inspect", str(corpus), "--config", str(config), "--limit", "5"]) == 0
    assert "5 documents" in capsys.readouterr().out
