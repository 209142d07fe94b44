"""Planted duplicates are found, and groups are those that a search by hand finds."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.data.pipeline import steps
from rlenv.data.pipeline.document import Document


def shingles(words):
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def similarity(a, b):
    a, b = shingles(a), shingles(b)
    return len(a & b) / len(a | b)


def test_planted_near_duplicates_are_found():
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(2000)]
    originals = [rng.choices(vocabulary, k=200) for _ in range(200)]
    near = []
    for words in originals[:150]:
        goal, copy = rng.uniform(0.75, 1), list(words)
        while True:
            changed = list(copy)
            changed[rng.randrange(200)] = rng.choice(vocabulary)
            if similarity(words, changed) < goal:
                break
            copy = changed
        near.append(copy)
    exact = [" ".join(words).upper() + "!" for words in originals[150:]]
    texts = [" ".join(words) for words in (*originals, *near)] + exact
    step = steps.make("minhash")
    found = step.originals(np.array([step.signature(Document("", text)) for text in texts]))
    assert found[:200].tolist() == list(range(200))  # no false alarm
    right = [found[200 + i] == i for i in range(150)]
    assert sum(right) >= 0.78 * len(right)
    assert found[350:].tolist() == list(range(150, 200))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=25))
def test_groups_are_the_connected_ones(rows):
    signatures = np.array(rows, np.uint64).reshape(-1, 3)
    found = steps.make("minhash").originals(signatures)
    group = list(range(len(rows)))
    for _ in rows:  # spread the smallest number until nothing changes
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                if any(x == y for x, y in zip(a, b, strict=True)):
                    group[i] = group[j] = min(group[i], group[j])
    assert found.tolist() == group


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a b", "a  b\n", "b a", "", " "]), max_size=12))
def test_exact_duplicates_are_the_same_words_in_order(texts):
    step = steps.make("exact")
    if texts:
        found = step.originals(np.array([step.signature(Document("", text)) for text in texts]))
        assert found.tolist() == [
            next(i for i, other in enumerate(texts) if other.split() == text.split())
            for text in texts
        ]


def test_documents_without_words_do_not_stop_minhash():
    step = steps.make("minhash")
    signatures = np.array([step.signature(Document("", text)) for text in ("", "!?", "one", "two")])
    found = step.originals(signatures)
    assert found[2:].tolist() == [2, 3]
