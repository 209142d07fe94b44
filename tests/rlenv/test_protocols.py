"""What an environment may have beside the methods of its class, and what holds without it."""

import inspect

import pytest

import rlenv
from rlenv.core import protocols
from rlenv.core.env import TextEnv
from rlenv.core.task_source import TaskSource


class Plain(rlenv.SingleTurnEnv):
    """The two methods that an author must write."""

    def generate(self, rng):
        return rlenv.Task(f"Say {rng.randint(0, 9)}.", answer="yes")

    def score(self, task, reply):
        return reply == task.answer


class Everything(Plain):
    """Whatever there is; none of it derives from a protocol."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.heard = []

    def announce(self, reply):
        self.heard.append(("announced", reply))

    def meet(self, chat):
        self.heard.append(("met", chat))

    def memory(self):
        return {"reward": 5}

    def choices(self, task, messages):
        return {"yes": 0.75, "y": 0.25}

    def answer_in(self, task, reply):
        return reply[:1]

    def audit(self, task, reply):
        return reply == "audited"

    def text(self, task):
        return "written out"

    def styled(self, message):
        return message["content"].upper()


TASK = rlenv.Task("Say it.", answer="yes")
MESSAGE = {"role": "user", "content": "hi"}


def asked(env):
    """Return what each function of the room says of an environment."""
    protocols.announce(env, "a reply")
    protocols.meet(env, "a chat")
    return {
        "memory": protocols.memory(env),
        "choices": protocols.choices(env, TASK, []),
        "answer_in": protocols.answer_in(env, TASK, " yes  sir "),
        "audit": protocols.audit(env, TASK, "audited"),
        "text": protocols.text(env, TASK),
        "styled": protocols.styled(env, MESSAGE),
    }


def test_what_holds_for_an_environment_without_any_of_it():
    assert asked(Plain()) == {
        "memory": {},
        "choices": None,
        "answer_in": "yes sir",
        "audit": None,
        "text": "Say it. yes",
        "styled": None,
    }
    assert protocols.answer_in(Plain(), TASK, "  ") is None

    class Clueless(Plain):
        def demonstrate(self, task, messages):
            return None

    assert protocols.text(Clueless(), TASK) is None


def test_to_have_the_method_is_enough():
    env = Everything()
    assert asked(env) == {
        "memory": {"reward": 5},
        "choices": {"yes": 0.75, "y": 0.25},
        "answer_in": " ",
        "audit": True,
        "text": "written out",
        "styled": "HI",
    }
    assert env.heard == [("announced", "a reply"), ("met", "a chat")]


def test_a_mixture_passes_on_what_its_members_have_and_what_they_have_not():
    mixed = rlenv.make(
        "rlenv/Mix-v0", members={"rlenv/Wordle-v0": 1, "rlenv/Arithmetic-v0": 1}, split="train"
    )
    tasks = mixed.tasks.for_training().sample_many(40, seed=0)
    by_member = {task.metadata["mix_member"]: task for task in tasks}
    sums, wordle = by_member["rlenv/Arithmetic-v0"], by_member["rlenv/Wordle-v0"]
    assert protocols.answer_in(mixed, sums, "It is 12.") == "12"
    assert protocols.answer_in(mixed, wordle, " crane\n") == "crane"
    assert protocols.choices(mixed, sums, sums.prompt) is None
    assert protocols.text(mixed, sums) == sums.question.replace("?", str(sums.answer))


def test_six_methods_are_an_authors_to_write():
    ours = {"reset", "step", "render"}  # Gymnasium's
    mine = {n for n, f in vars(TextEnv).items() if inspect.isfunction(f) and n[0] != "_"} - ours
    tasks = {n for n, f in vars(TaskSource).items() if inspect.isfunction(f) and n[0] != "_"}
    assert mine == {"start", "opening", "respond", "score", "demonstrate"}
    assert tasks == {"generate", "options", "from_row", "make_tasks"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_more_environments_like_one_are_made_with_its_arguments(split):
    env = rlenv.make("rlenv/Arithmetic-v0", level=3, split=split)
    other = env.maker()
    assert other is not env
    assert type(other) is type(env)
    assert (other.level, other.split) == (3, split)
    assert other.tasks.fingerprint == env.tasks.fingerprint


def test_tasks_are_drawn_alike_for_a_seed():
    tasks = Plain().tasks
    drawn = [[t.key for t in tasks.sample_many(8, seed=seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 8
