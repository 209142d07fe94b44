"""Logs of JSON lines that a crash or a full disk has cut, and rows of data that are broken."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.cli import main
from rlenv.common.errors import UserError
from rlenv.common.files import json_line, open_log, read_lines
from rlenv.core.rows import load_rows

RECORDS = [
    {"step": 1, "text": "é漢🙂"},
    {"step": 2, "text": "\u2028\x85\r"},
    {"step": 3, "text": "ü"},
]
LINES = [json_line(record).encode() for record in RECORDS]
WHOLE = b"".join(LINES)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def starts():
    return [len(b"".join(LINES[:n])) for n in range(len(LINES) + 1)]


def test_a_log_cut_anywhere_is_read_up_to_there_and_goes_on(path, caplog):
    ends = [end - 1 for end in starts()[1:]]  # a line is whole once its bracket is closed
    for cut in range(len(WHOLE) + 1):
        path.write_bytes(WHOLE[:cut])
        whole = sum(cut >= end for end in ends)
        lost = cut not in {*starts(), *ends}
        assert list(read_lines(path)) == RECORDS[:whole]
        assert [r.message for r in caplog.records] == [
            f"the last line of {path} was cut short and is left out"
        ] * lost
        with open_log(path) as log:
            log.write(json_line({"step": 4}))
        caplog.clear()
        assert list(read_lines(path)) == [*RECORDS[:whole], {"step": 4}]
        assert not caplog.records


def test_a_cut_line_longer_than_a_block_is_taken_away(path):
    path.write_bytes(LINES[0] + b'{"text": "' + b"x" * 200_000)
    open_log(path).close()
    assert path.read_bytes() == LINES[0]
    path.write_bytes(b'{"text": "' + b"x" * 200_000)
    open_log(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "broken",
    [b'{"step": 2, "te', b"\xe6\xbc", b'{"a": "\xe6\xbc"}', b"\0\0\0", b"[1]", b"7", b"[" * 9**5],
)
def test_a_broken_line_in_the_middle_is_named(path, caplog, broken):
    path.write_bytes(LINES[0] + broken + b"\n\n" + LINES[2])
    assert list(read_lines(path)) == [RECORDS[0], RECORDS[2]]
    assert [r.message for r in caplog.records] == [
        f"line 2 of {path} is no JSON object and is left out"
    ]


@given(st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=4))
def test_what_is_logged_comes_back(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with open_log(path) as log:
        log.writelines(map(json_line, records))
    assert list(read_lines(path)) == [json.loads(json.dumps(record)) for record in records]


def cut_within_a_character(path):
    """Leave a log as a crash in the middle of a reply would."""
    whole = path.read_bytes()
    path.write_bytes(whole + '{"stage": "grpo", "step": 9, "reply": "漢'.encode()[:-1])
    return whole


def test_a_run_whose_logs_are_cut_is_resumed_and_viewed(run_copy, capsys, caplog):
    logs = [run_copy / f"{name}.jsonl" for name in ("metrics", "episodes")]
    before = {log: cut_within_a_character(log) for log in logs}
    kept = before[logs[1]].count(b"\n")
    assert main.main(["view", str(run_copy), "--json"]) == 0
    assert capsys.readouterr().out.count("\n") == kept
    with caplog.at_level(logging.WARNING):
        assert main.main(["train", "--resume", str(run_copy)]) == 0
    assert any("metrics.jsonl was cut short" in r.message for r in caplog.records)
    report = (run_copy / "report.html").read_text(encoding="utf-8")
    assert "grpo" in report


def test_a_stage_that_goes_on_writes_whole_logs(miniature, tmp_path, monkeypatch):
    from rlenv.run.stage import Context

    run = tmp_path / "run"
    told = Context.log

    def dies(self, step, metrics):
        if self.stage == "grpo" and step == 3:
            cut_within_a_character(run / "metrics.jsonl")
            cut_within_a_character(run / "episodes.jsonl")
            raise RuntimeError("power cut")
        told(self, step, metrics)

    monkeypatch.setattr(Context, "log", dies)
    with pytest.raises(RuntimeError, match="power cut"):
        main.main(["train", str(miniature)])
    monkeypatch.undo()
    assert main.main(["train", "--resume", str(run)]) == 0
    for name in ("metrics", "episodes"):
        lines = (run / f"{name}.jsonl").read_bytes().decode("utf-8").splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines)
    steps = [r["step"] for r in read_lines(run / "metrics.jsonl") if r["stage"] == "grpo"]
    assert sorted(set(steps)) == [1, 2, 3, 4]


def test_rows_that_are_cut_within_a_character_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"a": "é"}\r\n\n{"a": "漢'.encode()[:-1])
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}, line 3 is no JSON: .*decode"):
        load_rows(str(path))
    path = tmp_path / "rows.json"
    path.write_bytes('[{"a": "漢'.encode()[:-1])
    with pytest.raises(UserError, match=r"rows.json is no JSON: "):
        load_rows(str(path))
