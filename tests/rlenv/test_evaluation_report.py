import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.cli import eval as evaluation
from rlenv.cli import main
from rlenv.evaluation import breakdown
from rlenv.evaluation.samples import read_samples, write_samples
from tests.rlenv.test_samples import sample

FEW = ["rlenv/Arithmetic-v0", "--tasks", "10", "--samples", "4", "--max-tokens", "4"]


def test_accuracy_by_difficulty():
    kept = [
        sample(task_key=f"{level}/{n}", metadata={"level": level}, solved=n < right)
        for level, right in ((10, 1), (2, 3))
        for n in range(4)
    ]
    assert breakdown.difficulty_key(kept) == "level"
    two, ten = breakdown.by_metadata(kept, "level")
    assert (two.label, two.accuracy.value, two.tasks) == ("2", 0.75, 4)
    assert (ten.label, ten.accuracy.value, ten.tasks) == ("10", 0.25, 4)


def test_tasks_of_one_difficulty_have_no_curve():
    assert breakdown.difficulty_key([sample(metadata={"level": 1})] * 3) is None
    assert breakdown.difficulty_key([sample()]) is None


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=60))
def test_groups_by_length_hold_every_judged_sample_once(lengths):
    kept = [
        sample(task_key=str(n), tokens=length, solved=right)
        for n, (length, right) in enumerate(lengths)
    ]
    bins = breakdown.by_length(kept, lambda s: s.tokens)
    assert 1 <= len(bins) <= 5
    assert sum(b.tasks for b in bins) == len(kept)
    assert sum(b.accuracy.value * b.tasks for b in bins) == pytest.approx(
        sum(right for _, right in lengths)
    )
    assert [b.x for b in bins] == sorted(b.x for b in bins)


def test_what_does_not_count_is_left_out():
    kept = [sample(greedy=True), sample(status="grader_error", value=float("nan"))]
    assert breakdown.by_length(kept, lambda s: s.tokens) == []
    assert breakdown.curves(kept) == {"pass@k": [], "pass^k": []}


def test_a_model_that_is_as_often_right_as_it_agrees_is_calibrated():
    rng = np.random.default_rng(0)
    kept = []
    for task in range(3000):
        sure = rng.choice([0.6, 0.8, 1.0])
        right = rng.random() < sure  # whether its favourite is the answer
        favourite = round(10 * sure)
        for n in range(10):
            mine = n < favourite
            answer = "favourite" if mine else f"other {n}"
            kept.append(
                sample(task_key=str(task), number=n, answer=answer, solved=bool(mine and right))
            )
    bins, error = breakdown.calibration(kept)
    assert error < 0.03
    assert [round(b.x, 1) for b in bins] == [0.6, 0.8, 1.0]
    overconfident = [
        sample(task_key=str(t), number=n, solved=False) for t in range(9) for n in range(4)
    ]
    bins, error = breakdown.calibration(overconfident)
    assert error == 1.0
    assert len(bins) == 1


def test_nobody_votes_where_replies_answer_nothing():
    bins, error = breakdown.calibration([sample(answer=None, number=n) for n in range(4)])
    assert bins == []
    assert np.isnan(error)


@pytest.fixture(scope="module")
def two(finished_run, tmp_path_factory):
    """Two evaluations on the same tasks."""
    folder = tmp_path_factory.mktemp("two")
    for stage in ("sft", "grpo"):
        command = [str(finished_run / stage), *FEW, "--output", str(folder / stage)]
        assert evaluation.main(command) == 0
    return folder


def test_the_page_of_one_evaluation(two, capsys):
    assert main.main(["report", str(two / "sft")]) == 0
    path = two / "sft/report.html"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    text = path.read_text()
    result = json.loads((two / "sft/result.json").read_text())
    for word in ("pass@1", "pass^4", "component/correct", "95% intervals", result["fingerprint"]):
        assert word in text
    assert f"{result['estimates']['pass@1']['value']:.3f}" in text
    assert text.count("<figure>") >= 3
    assert not re.search(r'(src|href)="http', text)  # it needs nothing else


def test_the_page_of_several(two, tmp_path):
    out = tmp_path / "both.html"
    folders = [str(two / "sft"), str(two / "grpo")]
    assert main.main(["report", *folders, "--output", str(out)]) == 0
    text = out.read_text()
    assert "grpo over sft" in text
    assert "pass@k grpo" in text
    again = tmp_path / "again.html"
    assert main.main(["report", *folders, "--output", str(again)]) == 0
    assert again.read_text() == text


def test_text_of_models_is_only_shown(two, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("result.json", "settings.json"):
        (copy / name).write_text((two / "sft" / name).read_text())
    kept = read_samples(two / "sft/samples.parquet")
    evil = sample(reply="<script>alert(1)</script>", solved=False, value=0.0)
    write_samples(copy / "samples.parquet", [*kept, evil])
    assert main.main(["report", str(copy)]) == 0
    assert "<script>" not in (copy / "report.html").read_text()


def test_evaluations_of_other_tasks_share_no_page(two, finished_run, tmp_path, capsys):
    other = tmp_path / "other"
    command = [str(finished_run / "sft"), *FEW, "--option", "level=2", "--output", str(other)]
    assert evaluation.main(command) == 0
    assert main.main(["report", str(two / "sft"), str(other)]) == 2
    assert "not of the same tasks" in capsys.readouterr().err
    assert main.main(["report", str(two / "sft"), "--output", "/dev/null/x.html"]) == 2
    assert "/dev/null is a file" in capsys.readouterr().err
