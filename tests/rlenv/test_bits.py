"""Bits per byte of models and baselines."""

import json
import math
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.cli import main
from rlenv.data.byte_ngrams import ByteNgrams
from rlenv.evaluation.bits_per_byte import baselines, model_bits, windows

LETTERS = st.binary(min_size=1, max_size=12).map(lambda raw: bytes(97 + b % 3 for b in raw))


@settings(max_examples=30)
@given(st.lists(LETTERS, min_size=1, max_size=4), LETTERS, st.integers(1, 8))
def test_probabilities_of_all_bytes_add_up_to_one(texts, before, order):
    ngrams = ByteNgrams(texts, order)
    found = [ngrams.probabilities(before + bytes([byte]))[-1] for byte in range(256)]
    assert min(found) > 0
    assert sum(found) == pytest.approx(1)


def reference(texts, context, byte, order):
    """Interpolated Kneser-Ney by its recursive formula, from lists of n-grams."""
    grams = [
        padded[i : i + order]
        for padded in (bytes(order - 1) + text for text in texts)
        for i in range(len(padded) - order + 1)
    ]
    counts = {gram: grams.count(gram) for gram in grams}

    def probability(context, counts):
        once, twice = (list(counts.values()).count(n) for n in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        n = len(context) + 1
        lower = 1 / 256
        if n > 1:
            tails = {}
            for gram in counts:
                tails[gram[1:]] = tails.get(gram[1:], 0) + 1
            lower = probability(context[1:], tails)
        after = {gram: c for gram, c in counts.items() if gram[:-1] == context}
        total = sum(after.values())
        if not total:
            return lower
        own = max(after.get(context + byte, 0) - discount, 0)
        return (own + discount * len(after) * lower) / total

    return probability(context, counts)


@settings(max_examples=50)
@given(st.lists(LETTERS, min_size=1, max_size=4), LETTERS, st.integers(1, 4))
def test_ngrams_are_those_of_the_formula(texts, text, order):
    found = ByteNgrams(texts, order).probabilities(text)
    padded = bytes(order - 1) + text
    for n in range(len(text)):
        context, byte = padded[n : n + order - 1], text[n : n + 1]
        assert found[n] == pytest.approx(reference(texts, context, byte, order))


def test_higher_orders_know_more_of_real_text():
    from pydoc_data.topics import topics

    texts = [topics[name] for name in sorted(topics)]
    found = baselines(texts[:60], texts[60:], [1, 3, 5])
    assert 4 < found["unigram, bytes"] < 5.5
    assert found["5-gram, bytes"] < found["3-gram, bytes"] < found["unigram, bytes"]
    plain = zlib.compress("".join(texts[60:]).encode(), 9)
    assert found["gzip -9"] == pytest.approx(
        8 * len(plain) / len("".join(texts[60:]).encode()), rel=0.02
    )


def test_a_models_bits_are_its_losses(nano, tokenizer):
    text = "a short text"
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])
    with torch.no_grad():
        loss = nano(input_ids=ids, labels=ids).loss
    wanted = float(loss) * (ids.shape[1] - 1) / math.log(2) / len(text)
    assert model_bits(nano, tokenizer, [text]) == pytest.approx(wanted, rel=1e-5)
    assert model_bits(nano, tokenizer, [text, text + "s"], batch=1) == pytest.approx(
        model_bits(nano, tokenizer, [text, text + "s"], batch=9)
    )


@given(st.integers(1, 60), st.integers(2, 17))
def test_windows_count_every_token_once_after_half_a_window(count, length):
    counted = []
    for ids, first in windows(list(range(count)), length):
        assert len(ids) <= length
        counted += ids[first:]
        assert all(
            place >= min(token, length // 2) for place, token in enumerate(ids) if place >= first
        )
    assert counted == list(range(1, count))


def test_the_command_shows_models_beside_baselines(finished_run, tmp_path, capsys):
    (tmp_path / "train.txt").write_text("1 + 2 = 3\n" * 50)
    (tmp_path / "held.jsonl").write_text(json.dumps({"text": "2 + 1 = 3\n"}) + "\n")
    files = ["--text", str(tmp_path / "held.jsonl"), "--train", str(tmp_path / "train.txt")]
    assert main.main(["bits", str(finished_run / "pretrain"), *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bytes"], found["documents"]) == (10, 1)
    names = ["unigram, bytes", "5-gram, bytes", "gzip -9", str(finished_run / "pretrain")]
    assert list(found["bits_per_byte"]) == names
    assert main.main(["bits", *files]) == 0
    assert "gzip -9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--text", "nowhere.txt"], "nowhere.txt"),
        (["--text", "{held}", "--orders", "9"], "1 to 8"),
        (["--text", "{held}", "--orders", "x"], "numbers"),
        (["nowhere", "--text", "{held}"], "nowhere"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, says, capsys):
    held = tmp_path / "held.txt"
    held.write_text("text")
    assert main.main(["bits", *(a.replace("{held}", str(held)) for a in arguments)]) == 2
    assert says in capsys.readouterr().err
