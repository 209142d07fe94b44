"""Rows of every form become the same pairs; what can't be used is counted and named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.core.rows import load_rows
from rlenv.data.preferences import from_ranking, implicit_prompt, pairs_of, read
from tests.conftest import SHARED

POLITE = SHARED / "data" / "preference" / "polite-preferences.json"


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


ASKED = [user("What colour is the sky?")]
FORMS = {
    "texts": {"prompt": "What colour is the sky?", "chosen": "Blue.", "rejected": "Green."},
    "messages": {
        "prompt": ASKED,
        "chosen": [assistant("Blue.")],
        "rejected": [assistant("Green.")],
    },
    "messages, implicit prompt": {
        "chosen": [*ASKED, assistant("Blue.")],
        "rejected": [*ASKED, assistant("Green.")],
    },
    "messages, prompt given twice": {
        "prompt": ASKED,
        "chosen": [*ASKED, assistant("Blue.")],
        "rejected": [*ASKED, assistant("Green.")],
    },
    "instruction": {
        "instruction": "What colour is the sky?",
        "input": "",
        "chosen": "Blue.",
        "rejected": "Green.",
    },
    "ranking": {
        "prompt": "What colour is the sky?",
        "replies": ["Green.", "Blue."],
        "ranks": [2, 1],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_pair(form):
    (pair,) = pairs_of(FORMS[form])
    assert list(pair.prompt) == ASKED
    assert (pair.chosen, pair.rejected) == ("Blue.", "Green.")


def test_margins_and_inputs_are_kept():
    row = {"instruction": "Add.", "input": "2 3", "chosen": "5", "rejected": "6", "margin": 2}
    (pair,) = pairs_of(row)
    assert pair.prompt[0]["content"] == "Add.\n\n2 3"
    assert pair.margin == 2.0


def test_columns_may_have_other_names():
    rows = [{"question": "2 + 3?", "good": "5", "bad": "6"}]
    columns = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    assert read(rows, columns).pairs[0].chosen == "5"
    with pytest.raises(UserError, match="no column 'promt'"):
        read(rows, {"promt": "question"})


words = st.text(alphabet="ab ", min_size=0, max_size=6)


@given(words, words, words, st.permutations("ab "))
def test_implicit_prompts_part_where_trl_parts_them(begin, one, other, apart):
    """The independent reference is TRL's own function."""
    from trl import extract_prompt

    # neither holds the other: they part at the latest after `begin`
    chosen, rejected = f"x{begin}{apart[0]}{one}", f"x{begin}{apart[1]}{other}"
    theirs = extract_prompt({"chosen": chosen, "rejected": rejected})
    prompt, ours, others = implicit_prompt(chosen, rejected)
    assert (prompt[0]["content"], ours, others) == (
        theirs["prompt"],
        theirs["chosen"],
        theirs["rejected"],
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_a_ranking_gives_every_ordered_pair_once(worth):
    """Against the definition: every i better than j, and nothing else."""
    replies = [f"reply {n}" for n in range(len(worth))]
    pairs = from_ranking(ASKED, replies, worth, margins=True)
    expected = {
        (replies[i], replies[j], worth[i] - worth[j])
        for i in range(len(worth))
        for j in range(len(worth))
        if worth[i] > worth[j]
    }
    assert len(pairs) == len(expected)
    assert {(p.chosen, p.rejected, p.margin) for p in pairs} == expected


def test_four_ranked_replies_make_six_pairs():
    row = {"prompt": "?", "replies": list("abcd"), "scores": [0.1, 0.4, 0.2, 0.3]}
    pairs = pairs_of(row)
    assert len(pairs) == 6
    assert [p.chosen for p in pairs].count("b") == 3


BAD = [
    ({"prompt": "q", "chosen": "a"}, "without the column 'rejected'"),
    ({"chosen": "a b", "rejected": "c d"}, "with an empty prompt"),
    ({"prompt": " ", "chosen": "a", "rejected": "b"}, "with an empty prompt"),
    ({"prompt": "q", "chosen": "", "rejected": "b"}, "with an empty reply"),
    ({"prompt": "q", "chosen": "a", "rejected": " \n"}, "with an empty reply"),
    ({"prompt": "q", "chosen": "a", "rejected": "a"}, "whose replies are the same"),
    ({"prompt": "q", "chosen": "a", "rejected": "b", "tie": True}, "ties"),
    ({"prompt": "q", "replies": ["a", "b"], "ranks": [1, 1]}, "ties"),
    (
        {"prompt": "q", "replies": ["a", "b"]},
        "whose replies have neither or both of ranks and scores",
    ),
    (
        {"prompt": "q", "replies": ["a", "b"], "ranks": [1]},
        "with a number of ranks that is not that of the replies",
    ),
    (
        {"prompt": "q", "chosen": "a", "rejected": "b", "margin": "?"},
        "with margin that can't be read as numbers",
    ),
    (
        {"prompt": 3, "chosen": "a", "rejected": "b"},
        "with something else than texts or chat messages",
    ),
    (
        {"prompt": "q", "chosen": [user("a")], "rejected": [assistant("b")]},
        "whose replies are not one message of the assistant each",
    ),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_bad_rows_are_counted_and_named(row, reason):
    good = {"prompt": "good", "chosen": "a", "rejected": "b"}
    found = read([good, row, row])
    assert len(found.pairs) == 1
    assert found.problems == {reason: 2}
    assert found.examples == {reason: 2}
    assert f"2 {reason} (first in row 2)" in found.summary()
    assert found.bad == (0 if reason == "ties" else pytest.approx(2 / 3))


def test_repeated_and_contradicted_pairs():
    one = {"prompt": "q", "chosen": "a", "rejected": "b"}
    swapped = {"prompt": "q", "chosen": "b", "rejected": "a"}
    found = read([one, one, swapped])
    assert len(found.pairs) == 1
    assert found.problems == {"seen before": 1, "that contradict an earlier one": 1}


def test_all_pairs_of_a_prompt_share_a_split():
    rows = [{"prompt": f"q{n}", "replies": list("abc"), "ranks": [1, 2, 3]} for n in range(200)]
    found = read(rows)
    splits = {}
    for pair in found.pairs:
        splits.setdefault(pair.prompt[0]["content"], set()).add(pair.split)
    assert all(len(one) == 1 for one in splits.values())
    sizes = [len(found.of(split)) for split in ("train", "validation", "test")]
    assert sum(sizes) == len(found.pairs) == 600
    assert min(sizes) > 20


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_files(tmp_path, suffix):
    import pyarrow
    from pyarrow import parquet

    rows = [FORMS["messages"], {**FORMS["messages"], "prompt": [user("And grass?")]}]
    path = tmp_path / f"pairs{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(rows))
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert [pair.chosen for pair in read(load_rows(path)).pairs] == ["Blue.", "Blue."]


SAID = {"prompt": "What colour is the sky?", "completion": "Blue.", "label": True}
LABELLED_FORMS = {
    "texts": SAID,
    "messages": {"prompt": ASKED, "completion": [assistant("Blue.")], "label": 1},
    "prompt given twice": {
        "prompt": ASKED,
        "completion": [*ASKED, assistant("Blue.")],
        "label": True,
    },
    "a row of a CSV file": {**SAID, "label": "True", "chosen": None},
}


@pytest.mark.parametrize("form", LABELLED_FORMS)
def test_every_form_holds_the_same_labelled_reply(form):
    found = read([LABELLED_FORMS[form]])
    (one,) = found.labelled
    assert (list(one.prompt), one.reply, one.good, one.row) == (ASKED, "Blue.", True, 1)
    assert found.pairs == []
    # so that a prompt is on the same side of the split in both forms
    (pair,) = pairs_of(FORMS["texts"])
    assert (one.task.key, one.split) == (pair.task.key, pair.split)


def test_labelled_columns_may_have_other_names():
    rows = [{"question": "2 + 3?", "answer": "6", "thumbs": 0}]
    columns = {"prompt": "question", "completion": "answer", "label": "thumbs"}
    (one,) = read(rows, columns).labelled
    assert (one.reply, one.good) == ("6", False)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "completion": "a"}, "without the column 'label'"),
        ({"prompt": "q", "label": True}, "without the column 'completion'"),
        ({"completion": "a", "label": True}, "without the column 'prompt'"),
        ({"text": "a"}, "without the column 'completion'"),
        ({"prompt": " ", "completion": "a", "label": True}, "with an empty prompt"),
        ({"prompt": "q", "completion": "\n", "label": True}, "with an empty reply"),
        ({"prompt": "q", "completion": "a", "label": "good"}, "neither true nor false"),
        ({"prompt": "q", "completion": "a", "label": 2}, "neither true nor false"),
        ({"prompt": "q", "completion": 3, "label": 1}, "something else than texts or chat"),
        ({"prompt": "q", "completion": [user("a")], "label": 1}, "not one message of the assist"),
        (SAID, "seen before"),
        ({**SAID, "label": False}, "that contradict an earlier one"),
    ],
)
def test_bad_labelled_rows_are_counted_and_named(row, reason):
    found = read([SAID, row])
    assert len(found.labelled) == 1
    ((named, count),) = found.problems.items()
    assert reason in named
    assert count == 1
    assert found.bad == 0.5
    assert found.summary().startswith("1 good replies and 0 bad ones; left out: 1 ")
    assert "(first in row 2)" in found.summary()


@pytest.mark.skipif(not POLITE.is_file(), reason=f"needs {POLITE}")
def test_real_pairs():
    found = read(load_rows(POLITE))
    assert len(found.pairs) == 1094
    assert found.problems == {"whose replies are the same": 6}
