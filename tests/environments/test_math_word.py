import json
import subprocess
import sys
from pathlib import Path

import pytest

import rlenv
from rlenv.common.errors import UserError
from rlenv.conformance import CheckSettings, run
from rlenv.environments.math_word import INSTRUCTIONS, read_gold
from tests.conftest import GSM8K, ROOT, needs_gsm8k

FEW = CheckSettings(tasks=8, draws=500, seconds=5, processes=1)
SLOW = ["across processes", "speed"]


def problems(count=300):
    return [
        {"question": f"What is {i} + {i % 7}?", "solution": f"{i}+{i % 7}={i + i % 7}"}
        for i in range(count)
    ]


def word_problems(rows=None, **options):
    columns = {"prompt": "question", "answer": "answer"}
    rows = rows or [{"question": "What is 3 + 4?", "answer": "7"}]
    return rlenv.make("rlenv/MathWord-v0", rows=rows, columns=columns, **options)


def ask(env, row, reply):
    return env.score(env.from_row(row), reply)


@pytest.mark.parametrize(
    ("text", "gold", "solution"),
    [
        ("72", "72", None),
        (" x \\leq 3 ", "x \\leq 3", None),
        ("48/2=<<48/2=24>>24.\nSo <<48+24=72>>72.\n#### 72", "72", "48/2=24.\nSo 72."),
        ("#### 1,080", "1,080", None),
        ("a << b >> c\n#### 5", "5", "a  c"),
        ("So it is \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}", "So it is \\boxed{\\frac{1}{2}}."),
    ],
)
def test_golds_and_solutions(text, gold, solution):
    assert read_gold(text) == (gold, solution)
    env = word_problems()
    task = env.from_row({"question": "?", "answer": text})
    assert env.score(task, env.demonstrate(task, task.prompt)).value == 1.0


def test_the_prompt():
    row = {"question": "What is 3 + 4? ", "answer": 7.0}
    plain = word_problems().from_row(row)
    assert plain.prompt == ({"role": "user", "content": f"What is 3 + 4?\n\n{INSTRUCTIONS}"},)
    other = word_problems(instructions="", system="Be brief.").from_row(row)
    assert [m["content"] for m in other.prompt] == ["Be brief.", "What is 3 + 4?"]
    assert plain.key == other.key
    reworded = word_problems().from_row({"question": "What is  3 + 4?", "answer": "seven"})
    assert reworded.key == plain.key


@pytest.mark.parametrize(
    ("reply", "correct", "format", "status"),
    [
        ("3 + 4 = 7, so \\boxed{7}", 1, 1, "ok"),
        ("\\boxed{7.0}", 1, 1, "ok"),
        ("\\boxed{8}", 0, 1, "ok"),
        ("\\boxed{7} or \\boxed{8}", 0, 1, "ok"),
        ("The answer is 7.", 1, 0, "ok"),
        ("The answer is 8.", 0, 0, "ok"),
        ("\\boxed{}", 0, 0, "unparseable"),
        ("\\boxed{no idea what it is}", 0, 1, "ok"),
        ("", 0, 0, "unparseable"),
    ],
)
def test_components(reply, correct, format, status):
    row = {"question": "What is 3 + 4?", "answer": "7"}
    reward = ask(word_problems(), row, reply)
    assert reward.components == {"correct": correct, "format": format}
    assert (reward.value, reward.status) == (correct, status)
    weighed = word_problems(rubric=rlenv.Rubric(correct=1.0, format=0.1, gate="format"))
    assert ask(weighed, row, reply).value == pytest.approx(correct * format + 0.1 * format)


def test_a_gold_answer_that_cannot_be_judged_is_a_grader_error():
    reward = ask(word_problems(), {"question": "?", "answer": " "}, "\\boxed{1}")
    assert reward.status == "grader_error"


@pytest.fixture
def demo():
    yield "demo/WordProblems-v0"
    rlenv.core.registry._specs._registered.pop("demo/WordProblems-v0", None)


def test_registering_a_data_set_of_ones_own(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems()))
    rlenv.register(
        "demo/WordProblems-v0",
        rlenv.MathWord,
        rows="problems.jsonl",
        columns={"prompt": "question", "answer": "solution"},
        rubric=rlenv.Rubric(correct=1.0, format=0.1, gate="format"),
    )
    splits = {split: rlenv.make(demo, split=split) for split in rlenv.core.task.SPLITS}
    assert sum(len(env.tasks) for env in splits.values()) == 300
    question, _ = splits["test"].reset(seed=0)
    assert "What is" in question
    assert splits["test"].step("\\boxed{-1}")[1] == 0.1
    outcomes = run(demo, settings=FEW, skip=[*SLOW, "held-out tasks"])
    assert not [o for o in outcomes if o.status == "fail"]


def test_what_it_is_built_on_is_loaded_late():
    code = (
        "import sys, rlenv; "
        "print([m in sys.modules for m in ('torch', 'rlenv.environments.math_word')], "
        "rlenv.MathWord.__name__, 'MathWord' in dir(rlenv))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False] MathWord True"


@pytest.mark.parametrize(
    ("ref", "options", "says"),
    [
        ("rlenv/MathWord-v0", {}, "MathWord needs rows"),
        ("rlenv/MathWord-v0", {"rows": [], "rubric": {"corect": 1}}, "Did you mean correct"),
        ("rlenv/GSM8K-v0", {"source": str(ROOT / "docs")}, "holds neither train.jsonl nor"),
    ],
)
def test_bad_options_end_in_one_sentence(ref, options, says):
    with pytest.raises(UserError, match=says):
        rlenv.make(ref, **options)


def gsm8k(split="train", **options):
    return rlenv.make("rlenv/GSM8K-v0", split=split, source=GSM8K, **options)


def write_gsm8k(folder, train, test):
    for part, questions in (("train", train), ("test", test)):
        rows = [{"question": q, "answer": f"It is {n}.\n#### {n}"} for n, q in enumerate(questions)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_official_test_set_is_the_test_split(tmp_path, monkeypatch):
    train = [f"How many are {n} apples?" for n in range(200)]
    test = [f"How many are {n} pears?" for n in range(50)]
    # the same question in both, though not to the letter
    write_gsm8k(tmp_path, [*train, "How many are  7 pears?"], test)
    monkeypatch.setenv("RLENV_GSM8K", str(tmp_path))
    splits = {
        split: rlenv.make("rlenv/GSM8K-v0", split=split).tasks for split in rlenv.core.task.SPLITS
    }
    questions = {s: [t.question.split("\n")[0] for t in tasks] for s, tasks in splits.items()}
    assert questions["test"] == test
    assert sorted(questions["train"] + questions["validation"]) == sorted(train)
    assert 0 < len(splits["validation"]) < len(splits["train"])
    assert splits["train"].for_training()
    with pytest.raises(UserError, match="held out"):
        splits["test"].for_training()


def test_from_the_hub(monkeypatch):
    from rlenv.environments import gsm8k

    asked = []

    def load(source, part):
        asked.append((source, part))
        return [{"question": f"{part} {n}?", "answer": f"#### {n}"} for n in range(30)]

    monkeypatch.setattr(gsm8k, "load_rows", load)
    monkeypatch.delenv("RLENV_GSM8K", raising=False)
    env = rlenv.make("rlenv/GSM8K-v0", split="test")
    assert len(env.tasks) == 30
    assert set(asked) == {("openai/gsm8k:main", "train"), ("openai/gsm8k:main", "test")}


def test_without_the_data_the_folder_is_named(monkeypatch):
    from rlenv.environments import gsm8k

    def fail(source, part):
        raise UserError("the data set could not be loaded")

    monkeypatch.setattr(gsm8k, "load_rows", fail)
    with pytest.raises(UserError, match=r"option source, or the environment variable RLENV_GSM8K"):
        rlenv.make("rlenv/GSM8K-v0", source="openai/gsm8k")


@needs_gsm8k
def test_the_sizes_of_gsm8k():
    sizes = {split: len(gsm8k(split).tasks) for split in rlenv.core.task.SPLITS}
    assert sizes["test"] == 1319
    assert sizes["train"] + sizes["validation"] == 7473
    assert 600 < sizes["validation"] < 900


@needs_gsm8k
def test_every_gold_answer_equals_itself_and_not_itself_plus_one():
    count = 0
    for split in rlenv.core.task.SPLITS:
        env = gsm8k(split)
        for task in env.tasks:
            gold = int(task.answer.replace(",", ""))
            for right in (str(gold), f"{gold:,}", task.answer):
                reward = env.score(task, f"\\boxed{{{right}}}")
                assert (reward.value, reward.status) == (1.0, "ok"), reward
            for wrong in (str(gold + 1), f"{gold + 1:,}"):
                reward = env.score(task, f"\\boxed{{{wrong}}}")
                assert (reward.value, reward.status) == (0.0, "ok"), reward
            count += 1
    assert count == 8792


@needs_gsm8k
def test_every_solution_is_a_demonstration():
    for split in rlenv.core.task.SPLITS:
        env = gsm8k(split)
        for task in env.tasks:
            reply = env.demonstrate(task, task.prompt)
            assert "<<" not in reply
            assert "####" not in reply
            assert len(reply.splitlines()) > 1
            assert env.score(task, reply).components == {"correct": 1.0, "format": 1.0}
