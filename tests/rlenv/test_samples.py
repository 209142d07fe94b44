import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.evaluation.samples import Sample, read_samples, write_samples
from rlenv.evaluation.summary import summarize


def sample(**fields):
    """A sample of which only what matters is said."""
    plain = {
        "task_key": "0",
        "index": 0,
        "number": 0,
        "greedy": False,
        "prompt": "1 + 1 = ?",
        "messages": ({"role": "user", "content": "1 + 1 = ?"},),
        "reply": "2",
        "answer": "2",
        "value": 1.0,
        "components": {},
        "status": "ok",
        "detail": "",
        "solved": True,
        "truncated": False,
        "turns": 1,
        "prompt_tokens": 9,
        "tokens": 2,
        "seconds": 0.5,
    }
    return Sample(**{**plain, **fields})


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.text(min_size=1))
def test_samples_survive_the_file(tmp_path_factory, text, value, name):
    path = tmp_path_factory.mktemp("samples") / "s.parquet"
    kept = [
        sample(reply=text, answer=None, value=value, components={name: value}),
        sample(messages=({"role": "user", "content": text, "tools": "[]"},), metadata={"level": 2}),
    ]
    write_samples(path, kept)
    assert read_samples(path) == kept


def test_what_a_file_of_text_cant_hold_does_not_lose_the_samples(tmp_path):
    half = "a\ud800b"  # half of a surrogate pair, which a tokenizer's bytes can decode to
    said = ({"role": "assistant", "content": half},)
    unjudged = sample(reply=half, value=math.nan, status="grader_error", messages=said)
    write_samples(tmp_path / "s.parquet", [unjudged])
    (found,) = read_samples(tmp_path / "s.parquet")
    assert found.reply == "a?b"
    assert found.messages == said
    assert math.isnan(found.value)


def test_a_summary_counts_each_kind_apart():
    one = sample(components={"format": 1.0})
    kept = [
        replace(one, greedy=True),
        one,
        replace(one, number=1, solved=False, value=0.0, answer="3", status="unparseable"),
        replace(one, task_key="1", greedy=True, solved=False, value=0.0),
        replace(one, task_key="1", solved=False, value=0.0, status="timeout", truncated=True),
        replace(one, task_key="1", number=1, value=math.nan, solved=False, status="grader_error"),
    ]
    found = summarize(kept)
    assert (found.tasks, found.samples, found.tokens, found.seconds) == (2, 2, 12, 3.0)
    assert (found.unparseable, found.timeout, found.truncated) == (0.25, 0.25, 0.25)
    assert found.grader_errors == 0.25
    assert "25.0%" in found.invalid
    figures = {name: estimate.value for name, estimate in found.estimates.items()}
    assert figures == {
        "pass@1": 0.25,
        "pass@2": 1.0,  # of the one task that has two judged samples
        "pass^2": 0.0,
        "majority@2": 0.25,  # a tie, and one wrong vote
        "greedy": 0.5,
        "mean reward": 0.25,
        "component/format": 1.0,
    }


def test_rewards_beyond_the_range_get_an_interval_all_the_same():
    kept = [sample(task_key=str(n), value=float(n)) for n in range(5)]
    estimate = summarize(kept).estimates["mean reward"]
    assert estimate.low < 2.0 == estimate.value < estimate.high


def test_no_sample_is_no_evaluation():
    with pytest.raises(ValueError, match="no sample"):
        summarize([sample(greedy=True)])
