"""Byte-level tokenizers: exact on any string, and measured."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.models.tokenizer import ROLES, SPECIAL, byte_tokenizer, tokenizer_report

CORPUS = ["The year 1984 was a year like 1985; the lower the tower, the newer the flower.\n"] * 30


@pytest.fixture(scope="module")
def learned():
    return byte_tokenizer(CORPUS, vocabulary=280, max_length=64)


@pytest.fixture(scope="module")
def plain():
    return byte_tokenizer(CORPUS, vocabulary=256, max_length=64)


@settings(deadline=None)
@given(text=st.text())
@pytest.mark.parametrize("name", ["learned", "plain"])
def test_any_string_comes_back(name, text, request):
    tokenizer = request.getfixturevalue(name)
    for split in (True, False):
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=split)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


@settings(deadline=None)
@given(text=st.lists(st.sampled_from([*SPECIAL, *ROLES, "a", " ", "<|"])).map("".join))
def test_text_that_spells_special_tokens_comes_back(learned, text):
    special = set(learned.all_special_ids)
    ids = learned(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert not special & set(ids)
    assert learned.decode(ids) == text


def test_the_vocabulary_has_the_size_asked_for(learned, plain):
    special = len(SPECIAL) + len(ROLES)
    assert len(plain) == 256 + special
    assert len(learned) == 280 + special
    assert learned.eos_token == "<|end|>"
    with pytest.raises(ValueError, match="256 tokens or more"):
        byte_tokenizer(CORPUS, vocabulary=255, max_length=64)


@settings(deadline=None)
@given(number=st.integers(0, 10**12))
def test_a_number_is_its_digits(learned, number):
    ids = learned(f"{number}", add_special_tokens=False)["input_ids"]
    assert learned.convert_ids_to_tokens(ids) == list(str(number))


def test_the_same_corpus_gives_the_same_tokenizer(learned):
    again = byte_tokenizer(iter(CORPUS), vocabulary=280, max_length=64)
    assert again.backend_tokenizer.to_str() == learned.backend_tokenizer.to_str()


def test_it_is_saved_and_loaded_with_its_chat_tokens(learned, tmp_path):
    from transformers import AutoTokenizer

    learned.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    talk = [{"role": "user", "content": "the year"}, {"role": "assistant", "content": "1984"}]
    made = loaded.apply_chat_template(talk, return_assistant_tokens_mask=True, return_dict=True)
    assert loaded.decode(made["input_ids"]) == (
        "<|begin|><|user|>the year<|end|><|assistant|>1984<|end|>"
    )
    covered = [i for i, m in zip(made["input_ids"], made["assistant_masks"], strict=True) if m]
    assert loaded.decode(covered) == "1984<|end|>"


def test_the_report(learned, plain):
    texts = ["the year", "ü 12"]
    report = tokenizer_report(plain, texts)
    assert report.bytes_per_token == 1.0
    assert report.exact == 1.0
    assert report.tokens_per_word == 13 / 4
    assert report.unused == 1 - len(set("the year 12ü".encode())) / 256
    assert tokenizer_report(learned, CORPUS[:1]).bytes_per_token > 2


def test_a_tokenizer_that_loses_text_is_found_out(tokenizer):
    assert tokenizer_report(tokenizer, ["plain", "snow ☃"]).exact == 0.5


def test_the_stage_learns_one_from_the_corpus(tmp_path):
    from rlenv.cli import train

    config = tmp_path / "run.yaml"
    config.write_text(
        f"seed: 0\nrun_dir: {tmp_path / 'run'}\nenv: rlenv/Arithmetic-v0\n"
        "stages:\n  tokenizer: {vocabulary: 400, corpus: [python_topics, tasks]}\n"
    )
    assert train.main([str(config)]) == 0
    report = json.loads((tmp_path / "run" / "tokenizer" / "tokenizer_report.json").read_text())
    assert report["vocabulary"] == 408
    assert report["exact"] == 1.0
    assert 1.2 < report["bytes_per_token"] < 4
    assert train.main([str(config), "tokenizer.vocabulary=100"]) == 2
