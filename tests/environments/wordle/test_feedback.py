import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.environments.wordle.feedback import encode, feedback, feedback_codes, letters
from rlenv.environments.wordle.words import load


def reference(guess, secret):
    """The rule letter by letter: green first, then as many yellow ones as the secret has left."""
    marks = ["G" if a == b else "X" for a, b in zip(guess, secret, strict=True)]
    for letter in set(guess):
        places = [i for i, a in enumerate(guess) if a == letter and marks[i] != "G"]
        rest = sum(b == letter for i, b in enumerate(secret) if marks[i] != "G")
        for i in places[:rest]:
            marks[i] = "Y"
    return "".join(marks)


@pytest.mark.parametrize(
    ("guess", "secret", "marks"),
    [
        ("crane", "crane", "GGGGG"),
        ("crane", "hound", "XXXGX"),
        ("speed", "abide", "XXYXY"),
        ("speed", "erase", "YXYYX"),
        ("allee", "apple", "GYXXG"),
        ("lever", "hello", "YGXXX"),
        ("mamma", "maxim", "GGYXX"),
        ("eerie", "there", "YXYXG"),
        ("aabb", "bbaa", "YYYY"),
        ("aaab", "baaa", "YGGY"),
    ],
)
def test_official_marks_of_repeated_letters(guess, secret, marks):
    assert feedback(guess, secret) == marks == reference(guess, secret)


def agree_on(guesses, secrets):
    codes = feedback_codes(letters(guesses), letters(secrets))
    for guess, row in zip(guesses, codes, strict=True):
        for secret, code in zip(secrets, row.tolist(), strict=True):
            right = reference(guess, secret)
            assert feedback(guess, secret) == right, (guess, secret)
            assert code == encode(right), (guess, secret)


def test_some_guesses_on_every_secret():
    secrets = load(5).secrets
    assert len(secrets) == 2315
    agree_on(random.Random(0).sample(secrets, 25), secrets)


@pytest.mark.slow
def test_every_secret_on_every_secret():
    secrets = load(5).secrets
    agree_on(secrets, secrets)


@st.composite
def lists_of_words(draw):
    length = draw(st.integers(1, 10))
    words = st.lists(st.text("abc", min_size=length, max_size=length), min_size=1, max_size=6)
    return draw(words), draw(words)


@given(lists_of_words())
def test_words_of_any_length(lists):
    agree_on(*lists)


def test_a_table_in_several_chunks_is_the_table_in_one(monkeypatch):
    words = load(5).secrets[:80]
    whole = feedback_codes(letters(words), letters(words))
    monkeypatch.setattr("rlenv.environments.wordle.feedback._CHUNK", 300)
    assert np.array_equal(feedback_codes(letters(words), letters(words)), whole)
    assert feedback_codes(letters(words)[:0], letters(words)).shape == (0, 80)
