import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv import parsing
from rlenv.common.errors import UserError
from rlenv.conformance import CheckSettings, run
from rlenv.environments.search_qa.env import normal
from rlenv.environments.search_qa.facts import country
from rlenv.rollouts.demonstrations import demonstrate

SLOW = ["speed", "across processes"]
STORY = """\
The lighthouse at Varn Point was built by Edda Quill in 1841, after two ships had been lost there.

Its lamp burned oil from the whalers of Tormund until the year 1902, when the last of them left.

Edda Quill kept a diary, which the museum in Lower Hask bought from her niece for 12 crowns.

Every autumn the keepers of Varn Point walk to the harbour of Osterby with lanterns in their hands.
"""


@pytest.fixture
def stories(tmp_path):
    folder = tmp_path / "stories"
    folder.mkdir()
    for n in range(30):
        end = chr(97 + n // 10) + chr(97 + n % 10)
        told = re.sub("(Varn|Edda|Tormund|Hask|Osterby)", rf"\1{end}", STORY)
        (folder / f"{n:02}.txt").write_text(told)
    return folder


def make(**options):
    return rlenv.make("rlenv/SearchQA-v0", **options)


def search(query):
    return parsing.write_tool_call("search", {"query": query})


def judged(env, *replies, seed=0):
    env.reset(seed=seed)
    for reply in replies:
        info = env.step(reply)[4]
    return info["reward"]


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_expert_finds_and_cites(hops):
    env = make(hops=hops, people=60)
    for seed in range(20):
        env.reset(seed=seed)
        shown = demonstrate(env, env.task, seed=seed)
        assert len(shown.replies) == hops + 1
        assert len(env.task.metadata["support"]) == hops
        reward = judged(env, *shown.replies, seed=seed)
        assert reward.components == {"correct": 1.0, "cited": 1.0}
        assert reward.value == pytest.approx(1.2)


def test_facts_answer_their_questions():
    land = country(3, 40)
    texts = {p.id: p.text for p in land.collection.passages}
    for hops, questions in land.questions.items():
        assert questions
        for question in questions:
            *path, last = question.support
            assert question.answers[0] in texts[last]
            for here, there in zip(path, question.queries[1:], strict=True):
                assert there in texts[here]  # one passage names what the next is about
            # with fewer passages there is no answer
            assert hops == 1 or not any(question.answers[0] in texts[id] for id in path)


def test_a_country_is_the_same_for_everyone_and_another_for_another_seed():
    assert country(1, 30).collection.passages != country(2, 30).collection.passages
    country.cache_clear()
    first = country(1, 30)
    country.cache_clear()
    assert country(1, 30).questions == first.questions


def test_questions_about_one_thing_stay_in_one_split():
    about = {
        split: {
            t.metadata["about"] for hops in (1, 2, 3) for t in make(split=split, hops=hops).tasks
        }
        for split in ("train", "validation", "test")
    }
    assert not about["train"] & about["test"]
    assert not about["train"] & about["validation"]
    assert all(about.values())


@pytest.fixture
def asked():
    env = make(people=40)
    env.reset(seed=2)
    (query,), (support,) = env.task.metadata["queries"], env.task.metadata["support"]
    return env, env.task.answer, search(query), support


def test_citations_count_when_read_and_right(asked):
    env, answer, looked, support = asked
    other = next(p.id for p in env.collection.passages if p.id != support)
    right = f"<answer>{answer}</answer>"

    def cited(*replies):
        return judged(env, *replies, seed=2).components["cited"]

    assert cited(looked, f"{right} [{support}]") == 1.0
    assert cited(looked, f"<answer>{answer} [{support}]</answer>") == 1.0
    assert cited(f"{right} [{support}]") == 0.0  # a guess: it was never read
    assert cited(looked, right) == 0.0
    assert cited(looked, f"{right} [{support}] [{other}]") == pytest.approx(2 / 3)
    everything = " ".join(f"[{p.id}]" for p in env.collection.passages)
    assert cited(looked, f"{right} {everything}") < 0.05
    assert cited(looked, f"{right} [{support}] [sic] [9999999]") == 1.0


def test_citations_alone_earn_nothing(asked):
    env, _, looked, support = asked
    reward = judged(env, looked, f"<answer>unknown</answer> [{support}]", seed=2)
    assert reward.components == {"correct": 0.0, "cited": 1.0}
    assert reward.value == 0.0


@pytest.mark.parametrize(
    ("form", "value", "status"),
    [
        ("<answer>{}</answer>", 1.0, "ok"),
        ("It is <answer> The {}. </answer>", 1.0, "ok"),
        ("<think><answer>no</answer></think><answer>{}</answer>", 1.0, "ok"),
        ("<answer>{}</answer> <answer>{}</answer>", 1.0, "ok"),
        ("<answer>{}</answer> <answer>no</answer>", 0.0, "unparseable"),
        ("<answer>{} or no</answer>", 0.0, "ok"),
        ("<answer></answer>", 0.0, "ok"),
        ("{}", 0.0, "unparseable"),
        ("<tool_response>\n[1] {}\n</tool_response>", 0.0, "unparseable"),
        ("user: {} is right\nassistant: thanks", 0.0, "unparseable"),
    ],
)
def test_verdicts(asked, form, value, status):
    env, answer, *_ = asked
    reward = judged(env, form.replace("{}", answer), seed=2)
    assert (reward.value, reward.status) == (value, status)


@given(st.text())
def test_any_reply_gets_a_verdict(reply):
    env = make(people=12)
    env.reset(seed=0)
    assert env.step(reply)[4]["reward"].judged


@given(st.text())
def test_normal_text_stays_normal(text):
    assert normal(normal(text)) == normal(text)


def test_questions_made_of_any_texts(stories):
    env = make(folder=stories, passage_chars=80)
    assert len(env.tasks) > 60
    for seed in range(20):
        env.reset(seed=seed)
        question, answer = env.task.question, env.task.answer
        assert "____" in question
        (passage,) = env.task.metadata["support"]
        assert answer in env.collection.by_id[passage].text
        shown = demonstrate(env, env.task, seed=seed)
        assert judged(env, *shown.replies, seed=seed).value >= 1.0


def test_a_folder_passes_the_checks(stories):
    settings = CheckSettings(tasks=4, draws=60, seconds=3, processes=1)
    outcomes = run(
        "rlenv/SearchQA-v0", {"folder": str(stories)}, settings, skip=[*SLOW, "held-out tasks"]
    )
    assert {o.check: o.detail for o in outcomes if o.status == "fail"} == {}


def test_questions_of_ones_own(stories):
    rows = [
        {"q": f"Who built the lighthouse at Varn{x}{y} Point?", "a": [f"Edda{x}{y} Quill", "Quill"]}
        for x in "abc"
        for y in "abcdefghij"
    ]
    options = {"folder": stories, "rows": rows, "columns": {"prompt": "q", "answer": "a"}}
    env = make(**options)
    env.reset(seed=0)
    told = env.step(search(env.task.metadata["about"]))[0]
    passage = told[1 : told.index("]")]
    reward = env.step(f"<answer>quill</answer> [{passage}]")[4]["reward"]
    assert reward.components == {"correct": 1.0, "cited": 1.0}  # the passage holds the answer
    sizes = [len(make(split=s, **options).tasks) for s in ("train", "validation", "test")]
    assert sum(sizes) == 30


def test_rows_may_name_their_passages(stories):
    rows = [{"prompt": "Who?", "answer": "Edda Quill", "support": "00.txt#1"}]
    env = make(folder=stories, rows=rows)
    task = env.from_row({"question": next(iter(_questions(rows)))})
    assert task.metadata["support"] == ["00.txt#1"]


def _questions(rows):
    from rlenv.environments.search_qa.questions import of_rows

    return of_rows(rows, {"prompt": "prompt", "answer": "answer", "support": "support"})


def test_the_tool_is_offered():
    _, info = make().reset(seed=0)
    (offered,) = json.loads(info["messages"][0]["tools"])
    assert offered["function"]["name"] == "search"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hops": 4}, "hops is 1, 2 or 3"),
        ({"people": 0}, "at least 1"),
        ({"folder": "nowhere"}, "is no folder"),
        ({"rows": [{"prompt": "?", "answer": "!"}]}, "in which folder"),
    ],
)
def test_bad_options_end_in_one_sentence(options, says):
    with pytest.raises(UserError, match=says):
        make(**options)
