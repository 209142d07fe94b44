import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.environments.search_qa.collection import Collection, Passage, cut, from_folder, words
from rlenv.environments.search_qa.facts import country


def reference(texts, query, k1=1.5, b=0.75):
    """BM25 by its formula, in the form that Lucene gives it."""
    documents = [Counter(words(text)) for text in texts]
    average = sum(map(Counter.total, documents)) / len(documents)
    scores = [0.0] * len(texts)
    for word in words(query):
        holding = sum(word in d for d in documents)
        idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for n, document in enumerate(documents):
            often, long = document[word], document.total() / average
            scores[n] += idf * often / (often + k1 * (1 - b + b * long))
    return scores


def test_ranking_is_bm25():
    rng = random.Random(0)
    vocabulary = [f"w{n}" for n in range(60)]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randint(3, 60))) for _ in range(200)]
    collection = Collection(Passage(str(n), text) for n, text in enumerate(texts))
    for _ in range(30):
        query = " ".join(rng.sample(vocabulary, 3))
        scores = reference(texts, query)
        found = [int(p.id) for p in collection.search(query, 10)]
        assert len(found) == 10
        ranked = sorted(scores, reverse=True)[:10]
        assert [scores[n] for n in found] == pytest.approx(ranked, abs=1e-5)


def test_equal_scores_keep_their_order_and_others_stay_away():
    collection = Collection(
        Passage(str(n), text) for n, text in enumerate(["red", "blue", "red", "red"])
    )
    assert [p.id for p in collection.search("RED!", 2)] == ["0", "2"]
    assert [p.id for p in collection.search("blue green", 3)] == ["1"]
    assert collection.search("green", 3) == []
    assert collection.search("", 3) == []


@given(st.text())
def test_any_query_is_answered(query):
    assert len(country(0, 12).collection.search(query, 3)) <= 3


@given(st.text("ab \n", max_size=200), st.integers(1, 50))
def test_cutting_keeps_all_words(text, chars):
    assert " ".join(cut(text, chars)).split() == text.split()


def test_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("One.\n\nTwo\nlines.\n\n\n\n" + "long " * 200)
    (tmp_path / "deep" / "b.md").write_text("Three.")
    (tmp_path / "c.py").write_text("print()")
    read = from_folder(tmp_path, 100)
    assert [p.id for p in read().passages] == ["a.txt#1", "a.txt#2", "deep/b.md#1"]
    assert read().passages[0].text == "One. Two lines."
    assert read() is read()
    (tmp_path / "deep" / "b.md").write_text("Three, four.")
    assert from_folder(tmp_path, 100)().by_id["deep/b.md#1"].text == "Three, four."


def test_folders_without_text_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no text"):
        from_folder(tmp_path, 100)()
    with pytest.raises(UserError, match="is no folder"):
        from_folder(tmp_path / "nowhere", 100)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="not UTF-8"):
        from_folder(tmp_path, 100)()
