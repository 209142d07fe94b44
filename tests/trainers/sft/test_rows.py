"""Tokens and labels under the chat templates of well-known models."""

import json

import pytest

from rlenv.models.chat_format import ChatFormat
from rlenv.trainers.sft import rows
from rlenv.trainers.sft.rows import IGNORED
from rlenv.trainers.sft.settings import DataSettings
from rlenv.trainers.sft.templates import CHATML
from tests.conftest import SHARED
from tests.rlenv import chat_templates

TALK = [
    {"role": "user", "content": "Think of a number."},
    {"role": "assistant", "content": "50"},
    {"role": "user", "content": "Higher."},
    {"role": "assistant", "content": "no: 25, I think"},
]


def tokenizer(name):
    if name != "chatml with tags":
        return chat_templates.tokenizer(name)
    import copy

    tagged = copy.deepcopy(chat_templates.tokenizer("chatml"))
    tagged.chat_template = CHATML
    return tagged


NAMES = [*chat_templates.FORMATS, "chatml with tags"]


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_on_replies_and_their_stop_tokens_alone(name):
    made = tokenizer(name)
    row = rows.encode(TALK, ChatFormat(made), 500)
    end = chat_templates.FORMATS[name.split()[0]][1]
    spans, inside = [], False
    for token, label in zip(row["input_ids"], row["labels"], strict=True):
        assert label in (token, IGNORED)
        if label != IGNORED and not inside:
            spans.append([])
        inside = label != IGNORED
        if inside:
            spans[-1].append(label)
    assert [made.decode(span) for span in spans] == [f"50{end}", f"no: 25, I think{end}"]
    assert all(span.count(made.convert_tokens_to_ids(end)) == 1 for span in spans)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"qwen3"}))  # which rewrites earlier replies
def test_the_tokens_are_those_of_the_template(name):
    made = tokenizer(name)
    ids = rows.encode(TALK, ChatFormat(made), 500)["input_ids"]
    theirs = made.apply_chat_template(TALK, tokenize=True, return_dict=False)
    assert theirs[: len(ids)] == ids
    assert made.decode(theirs[len(ids) :]).strip() == ""


@pytest.mark.parametrize("name", ["ours", "chatml with tags"])
def test_the_labels_are_those_of_the_generation_tags(name):
    made = tokenizer(name)
    row = rows.encode(TALK, ChatFormat(made), 500)
    theirs = made.apply_chat_template(
        TALK, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    masked = [
        token if on else IGNORED
        for token, on in zip(theirs["input_ids"], theirs["assistant_masks"], strict=True)
    ]
    assert masked[: len(row["labels"])] == row["labels"]
    assert set(masked[len(row["labels"]) :]) <= {IGNORED}


def reply(text, question="What is it?"):
    return {"messages": [{"role": "user", "content": question}, TALK[1] | {"content": text}]}


def test_what_cannot_be_used_is_counted_and_named(write):
    chat = ChatFormat(chat_templates.tokenizer("chatml"))
    path = write(
        [
            reply("it is"),
            reply(""),
            reply("long " * 200),
            reply("a forged<|im_end|>"),
            reply("   "),
            {"messages": None},
            reply("it was"),
        ]
    )
    source = DataSettings(path=str(path))
    made = rows.tokenize([source], chat, max_length=100, held_out=0.0, seed=0)
    report = made.reports[0]
    assert report.dropped == {
        "an empty reply": [2, 5],
        "longer than 100 tokens": [3],
        "a reply that spells a special token": [4],
        "no column messages": [6],
    }
    assert (report.rows, report.used, report.bad) == (7, 2, 5) == (7, len(made.rows), 5)
    assert report.lines()[1] == "  dropped: an empty reply: 2 rows (2, 5)"
    assert report.learned == sum(label != IGNORED for r in made.rows for label in r["labels"])


def test_kinds_of_files_give_the_same_rows(write, tmp_path):
    from pyarrow import Table, parquet

    chat = ChatFormat(chat_templates.tokenizer("ours"))
    some = [{"instruction": "Say", "input": str(n), "output": f"{n}!"} for n in range(5)]
    paths = [write(some), tmp_path / "data.json", tmp_path / "data.parquet"]
    paths[1].write_text(json.dumps(some))
    parquet.write_table(Table.from_pylist(some), paths[2])
    made = [
        rows.tokenize(
            [DataSettings(path=str(path))], chat, max_length=100, held_out=0.0, seed=0
        ).rows
        for path in paths
    ]
    assert made[0] == made[1] == made[2]
    assert len(made[0]) == 5


@pytest.mark.skipif(not (SHARED / "data/sft").is_dir(), reason=f"needs the files in {SHARED}")
def test_real_files_are_recognised_and_counted(tokenizer):
    chat = ChatFormat(tokenizer)
    names = ["instructions-1100.json", "self-instruct-seed-tasks.jsonl"]
    sources = [DataSettings(path=str(SHARED / "data/sft" / name)) for name in names]
    made = rows.tokenize(sources, chat, max_length=256, held_out=0.05, seed=0)
    assert [report.form for report in made.reports] == ["alpaca", "self-instruct"]
    assert [report.rows for report in made.reports] == [1100, 175]
    for report in made.reports:  # one conversation a row
        assert report.used + report.held_out + report.bad == report.rows
        assert report.used > 50
    assert len(made.rows) == sum(report.used for report in made.reports)


def test_a_character_that_the_tokenizer_lacks_is_no_reply(chat, write):
    path = write([reply("fine"), reply("na\u00efve"), reply("fine", "na\u00efve?")])
    made = rows.tokenize([DataSettings(path=str(path))], chat, max_length=100, held_out=0.0, seed=0)
    assert made.reports[0].dropped == {"a reply with a character that the tokenizer lacks": [2]}


def test_a_template_that_refuses_a_conversation_drops_it(write):
    chat = ChatFormat(chat_templates.tokenizer("gemma"))
    twice = {"messages": [TALK[0], TALK[0], TALK[1]]}
    made = rows.tokenize(
        [DataSettings(path=str(write([twice, reply("yes")])))],
        chat,
        max_length=100,
        held_out=0.0,
        seed=0,
    )
    assert made.reports[0].dropped == {"refused by the chat template": [1]}


def test_held_out_conversations_are_a_share_and_never_trained(write):
    chat = ChatFormat(chat_templates.tokenizer("ours"))
    path = write([reply(said, f"question {n}") for n in range(500) for said in ("yes", "no")])
    made = rows.tokenize([DataSettings(path=str(path))], chat, max_length=100, held_out=0.2, seed=0)
    assert len(made.rows) + len(made.held_out) == 1000
    assert 150 < len(made.held_out) < 250

    def questions(some):
        labels = [row["labels"] for row in some]
        asked = [
            tuple(row["input_ids"][: next(n for n, x in enumerate(given) if x != IGNORED)])
            for row, given in zip(some, labels, strict=True)
        ]
        return set(asked)

    assert not questions(made.rows) & questions(made.held_out)


def test_weights_repeat_rows_and_take_shares():
    some = [{"input_ids": [n], "labels": [n]} for n in range(100)]
    assert rows.weighted(some, 2, "s") == some + some
    half = rows.weighted(some, 1.5, "s")
    assert half[:100] == some
    assert len({row["input_ids"][0] for row in half[100:]}) == 50
    assert rows.weighted(some, 1.5, "s") == half != rows.weighted(some, 1.5, "t")


def test_texts_are_learned_whole_but_for_their_first_token(tokenizer):
    texts = ["some words, and more of them. " * 9, "short"]
    made = rows.from_texts(texts, tokenizer, length=32, tokens=10**6, seed=0)
    joined = sorted(tokenizer.decode(row["input_ids"], skip_special_tokens=True) for row in made)
    assert sum(map(len, joined)) == sum(map(len, texts))
    for row in made:
        assert row["labels"] == [IGNORED, *row["input_ids"][1:]]
        assert len(row["input_ids"]) <= 32
    some = rows.from_texts(texts, tokenizer, length=32, tokens=64, seed=0)
    assert 64 <= sum(len(row["input_ids"]) for row in some) < 64 + 32
