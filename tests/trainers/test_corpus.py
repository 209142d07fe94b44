import re

import pytest

import rlenv
from rlenv.common.errors import HeldOutError, UserError
from rlenv.core.rows import load_rows
from rlenv.data.decontamination import Decontaminator
from rlenv.data.pipeline import corpus
from rlenv.environments.arithmetic import Arithmetic
from rlenv.run.config import EnvSettings
from rlenv.trainers.sft.batches import collate
from rlenv.trainers.sft.demonstrations import demonstrations

ENV = EnvSettings(id="rlenv/Arithmetic-v0")
SUM = re.compile(r"(\d+) \+ (\d+)")


def split_of_sum(a: str, b: str) -> str:
    """The split of the task `a + b`, by its content."""
    made = Arithmetic()

    class Fixed:
        def __init__(self, numbers):
            self.numbers = iter(numbers)

        def randint(self, low, high):
            return next(self.numbers)

        def choice(self, options):
            return options[0]

    return made.generate(Fixed([int(a), int(b)])).split


def test_no_held_out_task_in_any_training_text():
    found = 0
    for name in corpus.BUILT_IN:
        for text in corpus.documents(name, ENV, seed=0, tasks=20_000):
            for a, b in SUM.findall(text):
                if int(a) <= 99 and int(b) <= 99:
                    found += 1
                    assert split_of_sum(a, b) == "train", (name, a, b)
    assert found > 20_000


def test_no_held_out_task_in_the_demonstrations(chat):
    env = rlenv.make("rlenv/Arithmetic-v0")
    rows = demonstrations(env, chat, 5000, seed=0)
    for row in rows:
        ((a, b),) = SUM.findall(chat.decode(row["input_ids"]))
        assert split_of_sum(a, b) == "train"
        reply = chat.decode([label for label in row["labels"] if label != -100])
        assert int(reply) == int(a) + int(b)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_demonstrations_of_held_out_tasks_are_refused(chat, split):
    with pytest.raises(HeldOutError):
        demonstrations(rlenv.make("rlenv/Arithmetic-v0", split=split), chat, 1, seed=0)


def test_planted_held_out_tasks_are_dropped_from_text():
    held_out = rlenv.make("rlenv/Arithmetic-v0", split="test").tasks
    clean = Decontaminator([held_out])
    planted = [task.question for task in held_out.distinct(50)]
    lines = ["Call me Ishmael.\n", *(f"exam: {q} I wonder\n" for q in planted), "The end.\n"]
    assert clean("".join(lines)) == "Call me Ishmael.\nThe end.\n"
    assert clean.finds(planted[0].replace(" ", ""))
    assert rlenv.decontaminate(lines, ENV.id)[1:-1] == [""] * 50


def test_the_english_text_survives():
    whole = sum(len(row["text"]) for row in load_rows("python_topics"))
    kept = sum(map(len, corpus.documents("python_topics", ENV, seed=0, tasks=1)))
    assert whole > 400_000
    assert kept > 0.98 * whole


def test_mixture():
    assert corpus.mixture(["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert corpus.mixture({"a": 3, "b": 1}) == {"a": 0.75, "b": 0.25}


def test_a_corpus_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no corpus 'pyton_topics'"):
        corpus.check_source("pyton_topics", None)
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xff\xfe\xfa")
    corpus.check_source(str(path), None)
    with pytest.raises(UserError, match="UTF-8"):
        corpus.documents(str(path), ENV, seed=0, tasks=1)


def test_collate_pads_on_the_right():
    rows = [{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}, {"input_ids": [4], "labels": [4]}]
    out = collate(rows, pad=9)
    assert out["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert out["labels"].tolist() == [[-100, 2, 3], [4, -100, -100]]
    assert out["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
