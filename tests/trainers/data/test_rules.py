"""The rules against plain references that follow the papers word by word."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.data.ngrams import NgramTable, group, ngrams
from rlenv.data.pipeline import steps
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.gopher import ngram_characters
from rlenv.data.word_hashes import WordSequence, fold, word_hash

SMALL = st.lists(st.sampled_from(["a", "bb", "the", "x1"]), max_size=40)
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)


def reasons(name, text, **given_settings):
    step = steps.make(name, given_settings)
    document = step.edit(Document("d", text), Counter())
    return list(step.reasons(document))


# a page of plain prose, which no rule is against
PROSE = """\
The sailors of the harbour have been waiting for a wind that would carry them home.
On Monday, the market opened late, and nobody could say why the bell had not rung.
Children ran along the wall with kites, which the older ones said were made of paper.
A letter arrived for the judge, but she was far away in the mountains with her brother.
It rained until noon, then cleared, and bread was sold from a cart beside the old mill.
Some painters prefer to work at night because colours seem quieter when a lamp is low.
Nothing in the report explains how so many birds came to live on that small lake.
If you walk past our school, you may hear music from the room under the stairs.
Doctors in the village keep records of every winter, and these go back to my grandfather.
We left before sunrise, hoping to be first at the gate, yet others were already there."""


@pytest.mark.parametrize("name", ["gopher_quality", "gopher_repetition", "c4", "fineweb"])
def test_prose_passes(name):
    assert reasons(name, PROSE) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The end of it all.", "too few words"),
        (PROSE + " a b" * 400, "words too short"),
        (" ".join(["of the", *(f"incomprehensibility{i}" for i in range(60))]), "words too long"),
        (PROSE + " #" * 40, "hash signs"),
        (PROSE.replace(".", "...").replace(",", " ... and ... "), "ellipses"),
        (re.sub("^", "- ", PROSE, flags=re.M), "bullet lines"),
        (PROSE.replace(".", "…"), "ellipsis lines"),
        (PROSE + " 12" * 200, "few words with letters"),
        (" ".join(f"parole{i} numero" for i in range(40)), "few stop words"),
    ],
)
def test_gopher_quality(text, reason):
    assert reason in reasons("gopher_quality", text)


def test_gopher_quality_counts_no_signs_as_words():
    forty_nine = " ".join(["the", "of", *(f"w{chr(97 + i % 26)}ord" for i in range(47))])
    assert "too few words" in reasons("gopher_quality", forty_nine + " — — =")
    assert "too few words" not in reasons("gopher_quality", forty_nine + " more")


def brute_top(words, n):
    """Characters of the most frequent n-gram, spaces within it too, times how often it occurs."""
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    (gram, number) = Counter(grams).most_common(1)[0]  # of equals, the first met
    return len(gram) * number


def brute_repeated(words, n):
    """Characters of words in an n-gram that occurred before, each word once."""
    seen, marked = set(), set()
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if gram in seen:
            marked.update(range(i, i + n))
        seen.add(gram)
    return sum(len(words[i]) for i in marked)


@settings(max_examples=300, deadline=None)
@given(SMALL)
def test_repeated_ngrams_as_counted_by_hand(words):
    counted = ngram_characters(WordSequence(words), range(2, 11))
    found = {n: (top, repeated) for n, top, repeated in counted}
    assert set(found) == {n for n in range(2, 11) if n <= len(words)}
    for n, (top, repeated) in found.items():
        assert (top, repeated) == (brute_top(words, n), brute_repeated(words, n)), n


def test_repetition_of_lines_and_paragraphs():
    lines = [f"line {i} of something that goes on" for i in range(10)]
    assert "duplicate lines" in reasons("gopher_repetition", "\n".join([*lines, *lines[:5]]))
    assert "duplicate lines" not in reasons("gopher_repetition", "\n".join([*lines, *lines[:4]]))
    assert "characters in duplicate lines" in reasons(
        "gopher_repetition", "\n".join([*lines, *lines[:4]])
    )
    assert "duplicate paragraphs" in reasons("gopher_repetition", "a\n\na\n\na\n\nb")


def test_c4_keeps_sentences():
    step = steps.make("c4")
    counts = Counter()
    text = "\n".join(
        [
            "A line without an end",
            "Too short.",
            "This one is long enough to stay.[12]",
            'So is this one, "she said so."',
            "Please enable JavaScript to see this page.",
            "We use cookies on all of our pages.",
            "It goes on and on and...",
            "And a third sentence that stays here.",
        ]
    )
    document = step.edit(Document("d", text), counts)
    assert document.text.split("\n") == [
        "This one is long enough to stay.",
        'So is this one, "she said so."',
        "And a third sentence that stays here.",
    ]
    assert list(step.reasons(document)) == []
    assert counts["citation marks removed"] == 1
    assert counts["lines dropped: no terminal punctuation"] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("There are two sentences here. And no more.", "too few sentences"),
        (PROSE + "\nThe words lorem ipsum dolor sit amet.", "lorem ipsum"),
        (PROSE + "\nA program says if (x) { return; } and so on.", "curly bracket"),
    ],
)
def test_c4_documents(text, reason):
    assert reasons("c4", text) == [reason]


def test_fineweb_at_its_thresholds():
    ends, open_ = (
        "A line of more than thirty characters ends.",
        "A line of thirty characters or more",
    )
    lines = [f"{i} {ends if i < 12 else open_}" for i in range(100)]
    assert reasons("fineweb", "\n".join(lines)) == ["few lines end in punctuation"]
    lines[12] = f"12 {ends}"
    assert reasons("fineweb", "\n".join(lines)) == []
    short = [f"{i} short." for i in range(67)] + [f"{i} {ends}" for i in range(33)]
    assert "short lines" in reasons("fineweb", "\n".join(short))
    assert "short lines" not in reasons("fineweb", "\n".join(short[1:]))
    unique = [f"{i} {ends}" for i in range(9)]
    assert "characters in duplicate lines" in reasons("fineweb", "\n".join([*unique, unique[0]]))
    assert reasons("fineweb", "") == ["empty"]


@settings(deadline=None)
@given(TEXT)
def test_no_rule_stumbles_over_any_text(text):
    for name in ("normalise", "gopher_quality", "gopher_repetition", "c4", "fineweb", "personal"):
        for splitter in ("spaces", "punctuation"):
            step = steps.make(name)
            document = step.edit(Document("d", text, {}, splitter), Counter())
            assert all(isinstance(reason, str) for reason in step.reasons(document))


RUNS = ["a", " ", "\n", ".", "1 ", "1", "@", "a@b.", "(", "#", "- ", "'", ":", "\t", "[", "é"]


@pytest.mark.parametrize("run", RUNS)
def test_long_runs_cost_no_more_than_text(run):
    # a pattern that is quadratic in the length of a run would take hours here
    text = f"ann@example.org, (212) 555-2368 \n{run * 300_000}x"
    for name in ("normalise", "gopher_quality", "gopher_repetition", "c4", "fineweb", "personal"):
        step = steps.make(name)
        list(step.reasons(step.edit(Document("d", text), Counter())))


@settings(deadline=None)
@given(TEXT)
def test_normalising_twice_is_normalising_once(text):
    step = steps.make("normalise")
    once = step.edit(Document("d", text), Counter())
    assert step.edit(once, Counter()).text == once.text
    assert "\r" not in once.text
    assert "\n\n\n\n" not in once.text


def test_normalise():
    step = steps.make("normalise")
    text = "cafe\u0301\r\nline\u200b one \t\r\n\n\n\n\nend\x00\ud800\n"
    assert step.edit(Document("d", text), Counter()).text == "café\nline one\n\n\nend"


@settings(deadline=None)
@given(TEXT)
def test_folded_words_are_those_of_the_text_in_lower_case(text):
    expected = [word_hash(w) for word in text.split() for w in re.findall(r"\w+", word.lower())]
    assert WordSequence(text.split()).folded.tolist() == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 6))
def test_equal_ngrams_have_equal_hashes(values, n):
    hashes = np.array([word_hash(str(v)) for v in values], np.uint64)
    found = ngrams(hashes, n).tolist()
    grams = [tuple(values[i : i + n]) for i in range(len(values) - n + 1)]
    assert len(found) == len(grams)
    assert len(set(found)) == len(set(grams))
    assert len(set(zip(found, grams, strict=True))) == len(set(grams))


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_groups(values):
    found = group(np.array(values, np.uint64))
    repeats = [i for i, v in enumerate(values) if v in values[:i]]
    assert sorted(found.repeats.tolist()) == repeats
    assert found.not_alone.tolist() == [i for i, v in enumerate(values) if values.count(v) > 1]
    place, number = found.most_frequent()
    value, most = Counter(values).most_common(1)[0]
    assert (place, number) == (values.index(value), most)


@settings(deadline=None)
@given(SMALL, SMALL)
def test_a_table_finds_what_occurs(held_out, text):
    n = 3
    table = NgramTable({n: ngrams(fold(" ".join(held_out)), n)})
    grams = {tuple(held_out[i : i + n]) for i in range(len(held_out) - n + 1)}
    expected = sum(tuple(text[i : i + n]) in grams for i in range(len(text) - n + 1))
    assert len(table.find(fold(" ".join(text)))) == expected
