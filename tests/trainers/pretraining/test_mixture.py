"""Which source a row comes from, what is held out, and the learning rate's way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.common.settings import parse
from rlenv.trainers.pretraining.documents import Documents, Stream, hold_out
from rlenv.trainers.pretraining.mixture import Mixture
from rlenv.trainers.pretraining.settings import PhaseSettings, PretrainSettings, TrainingSettings
from rlenv.trainers.pretraining.training import mixtures, short_names

from .support import random_documents

NAMES = ["a", "b", "c"]
weights = st.dictionaries(st.sampled_from(NAMES), st.floats(0.05, 1), min_size=1)


def mixture(phases, steps):
    """Sources whose tokens tell them apart."""
    streams = {
        name: Stream(Documents(np.full(50, n, np.int32), np.arange(5, 51, 5), 50), seed=n)
        for n, name in enumerate(NAMES)
    }
    settings = TrainingSettings(phases=phases)
    return Mixture(streams, mixtures(settings), steps)


def counts(made, steps, rows=5):
    """How many rows of each source each step has."""
    drawn = [made.draw(step, rows, 4)[0][:, 0] for step in range(steps)]
    return np.array([[int((d == n).sum()) for n in range(len(NAMES))] for d in drawn])


@given(corpus=weights, steps=st.integers(1, 12))
def test_shares_are_kept_at_every_moment(corpus, steps):
    total = sum(corpus.values())
    shares = np.array([corpus.get(name, 0) / total for name in NAMES])
    taken = counts(mixture([PhaseSettings(share=1, corpus=corpus)], steps), steps).cumsum(0)
    wanted = 5 * np.arange(1, steps + 1)[:, None] * shares
    assert np.abs(taken - wanted).max() < len(NAMES)


def test_phases_follow_one_another():
    phases = [
        PhaseSettings(share=0.5, corpus={"a": 0.8, "b": 0.2}),
        PhaseSettings(share=0.3, corpus={"a": 1}),
        PhaseSettings(share=0.2, corpus=["b", "c"]),
    ]
    found = counts(mixture(phases, 20), 20, rows=10)
    assert found[:10].sum(0).tolist() == [80, 20, 0]
    assert found[10:16].sum(0).tolist() == [60, 0, 0]
    assert np.abs(found[16:].sum(0) - [0, 20, 20]).max() <= 1
    assert found[16:, 0].sum() == 0


@given(stop=st.integers(0, 9))
def test_it_goes_on_where_it_stood(stop):
    phases = [
        PhaseSettings(share=0.5, corpus={"a": 2, "b": 1}),
        PhaseSettings(share=0.5, corpus=NAMES),
    ]
    whole, broken = mixture(phases, 10), mixture(phases, 10)
    for step in range(stop):
        broken.draw(step, 3, 7)
    resumed = mixture(phases, 10)
    resumed.load_state_dict(broken.state_dict())
    for step in range(10):
        wanted = whole.draw(step, 3, 7)
        if step >= stop:
            found = resumed.draw(step, 3, 7)
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert resumed.epochs() == whole.epochs()


@given(
    texts=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=30),
    share=st.floats(0.01, 0.4),
)
def test_held_out_texts_are_on_one_side_only(texts, share):
    learn, test = hold_out(texts, share)
    assert sorted(learn + test) == sorted(texts)
    assert not set(learn) & set(test)
    assert learn, "something is left to learn from"
    assert bool(test) == (len(set(texts)) > 1)


def test_what_is_held_out_does_not_depend_on_the_rest():
    """Nearly: the share may end elsewhere, but the order in which texts are chosen stays."""
    texts = [f"text number {n}, of some length" for n in range(2000)]
    _, before = hold_out(texts, 0.05)
    _, after = hold_out(texts[500:], 0.05)
    assert len(before) == pytest.approx(100, abs=3)
    assert len(set(before) & set(after)) >= len(after) - 3 - len(
        [t for t in after if t in texts[:500]]
    )


def test_a_long_text_is_cut_so_that_some_of_it_can_be_held_out():
    book = "".join(f"This is line {n} of the book.\n" for n in range(10_000))
    learn, test = hold_out([book], 0.1)
    assert 0.05 < sum(map(len, test)) / len(book) < 0.2
    assert sum(map(len, learn + test)) == len(book)
    assert hold_out([book], 0) == ([book], [])


def test_a_text_spells_no_special_token(tokenizer):
    found = Documents.of(["a<|end|>b"], tokenizer).tokens.tolist()
    assert found[0] == tokenizer.bos_token_id
    assert found.index(tokenizer.eos_token_id) == len(found) - 1


def test_names_of_sources():
    assert short_names(["x/sotu.jsonl", "tasks", "y/books/"]) == {
        "x/sotu.jsonl": "sotu",
        "tasks": "tasks",
        "y/books/": "books",
    }
    assert short_names(["x/a.txt", "y/a.txt"])["x/a.txt"] == "x/a.txt"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"phases": [{"share": 0.5, "corpus": ["tasks"]}]}, "add up to 1"),
        ({"phases": [{"share": 1, "corpus": ["tasks"]}], "corpus": ["tasks"]}, "leave out"),
        ({"corpus": {"tasks": -1}}, "must be more than 0"),
        ({"phases": [{"share": 1, "corpora": ["tasks"]}]}, "Did you mean corpus?"),
    ],
)
def test_settings_that_do_not_fit(settings, says):
    with pytest.raises(UserError, match=says):
        parse(PretrainSettings, {"steps": 1, **settings}, "file", "pretrain.")


def test_a_stream_starts_anywhere():
    stream = Stream(random_documents([3, 5, 2]), seed=0)
    whole, documents = stream.cut(0, 60)
    tokens, numbers = stream.cut(23, 20)
    assert np.array_equal(tokens, whole[23:43])
    assert np.array_equal(numbers, documents[23:43])
