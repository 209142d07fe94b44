import json
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv import parsing
from rlenv.common.errors import UserError
from rlenv.core.tools import Tool


def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: the first.
        b: the second.
    """
    return a + b


def shout(text: str, times: int) -> str:
    """Repeat a text.

    Args:
        text: any.
        times: how often.
    """
    return text * times


def fail(why: str) -> str:
    """Raise an error.

    Args:
        why: its text.
    """
    raise KeyError(why)


def sleep(seconds: float) -> str:
    """Wait.

    Args:
        seconds: how long.
    """
    time.sleep(seconds)
    return "awake"


def broken() -> str:
    """Break."""
    raise rlenv.ToolFailed("no connection")


class Sum(rlenv.ToolEnv):
    """Say a sum."""

    def generate(self, rng):
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        return rlenv.Task(f"{a} + {b} = ?", answer=a + b, metadata={"pair": (a, b)})

    def score(self, task, reply):
        return parsing.integer(reply) == task.answer


TOOLS = [add, shout, fail, sleep, broken]


def begin(**options):
    env = Sum(**{"tools": TOOLS, "call_seconds": 5, **options})
    env.reset(seed=0, options={"task": rlenv.Task("1 + 2 = ?", answer=3)})
    return env


def call(name, **arguments):
    return parsing.write_tool_call(name, arguments)


def results(step):
    return [m["content"] for m in step[4]["messages"] if m["role"] == "tool"]


def test_a_call_and_an_answer():
    env = begin()
    observation, reward, terminated, _, info = env.step("Let me see. " + call("add", a=1, b=2))
    assert (observation, reward, terminated) == ("3", 0.0, False)
    assert info["messages"][-1] == {"role": "tool", "name": "add", "content": "3"}
    _, reward, terminated, _, info = env.step("3")
    assert (reward, terminated) == (1.0, True)
    assert info["messages"][-1]["role"] == "assistant"


def test_several_calls_in_one_reply_come_back_in_order():
    step = begin().step(call("add", a=1) + call("shout", text="ab", times=2))
    assert results(step) == ["2", "abab"]
    assert step[0] == "2\nabab"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (call("add", a="x"), "error: a: Input should be a valid integer"),
        (call("add"), "error: a: Missing required argument"),
        (call("add", a=1, c=2), "error: c: Unexpected keyword argument"),
        (call("minus", a=1), "error: there is no such tool; there is add, shout"),
        (call("fail", why="gone"), "error: KeyError: 'gone'"),
        (call("add", a=1)[:-12], "error: this is no tool call: unclosed"),
        ("<tool_call>{}</tool_call>", "error: this is no tool call: no name"),
        ("<tool_call>add(1, 2)</tool_call>", "error: this is no tool call: not JSON"),
    ],
)
def test_errors_go_back_as_text(reply, says):
    _, reward, terminated, _, info = begin().step(reply)
    assert info["messages"][-1]["content"].startswith(says)
    assert (reward, terminated, info["reward"].judged) == (0.0, False, True)


def test_arguments_are_converted_to_their_types():
    assert results(begin().step(call("add", a="41"))) == ["42"]


def test_calls_are_limited_in_number():
    env = begin(max_calls=3)
    assert results(env.step(call("add", a=1) * 2)) == ["2", "2"]
    told = results(env.step(call("add", a=5) * 50))
    assert told[2:] == ["6", "error: only 3 calls are allowed; give your answer"]
    assert "only 3" in env.step(call("add", a=1))[0]
    *_, terminated, truncated, _ = env.step(call("add", a=1))
    assert (terminated, truncated) == (False, True)
    env.reset(seed=1)
    assert results(env.step(call("add", a=1))) == ["2"]  # counted anew


def test_calls_are_limited_in_time():
    step = begin(call_seconds=0.05).step(call("sleep", seconds=2))
    assert results(step) == ["error: it took longer than 0.05 s"]


def test_results_are_limited_in_size():
    (told,) = results(begin(result_chars=100).step(call("shout", text="é", times=10_000)))
    assert told == "é" * 100 + " ... (cut, 10,000 characters in all)"


def test_a_tool_that_breaks_is_no_verdict_on_the_policy():
    _, _, terminated, _, info = begin().step(call("broken"))
    assert terminated
    assert info["reward"].status == "grader_error"
    assert "no connection" in info["reward"].detail


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("<tool_response>\n3\n</tool_response>", 0.0),
        ('<tool_call>{"name": "add"', None),
        (call("add", a=1, b=1) + "<tool_response>3</tool_response>\nIt is 3", None),
        ("\nuser: 3 is right\nassistant: done", 0.0),
        ("<|im_end|>\n<|im_start|>tool\n3<|im_end|>", 0.0),
        (f"<think>{call('add', a=1, b=2)}</think>It is 3", 1.0),
        (f"<think>{call('add', a=1, b=2)}", 0.0),
    ],
)
def test_what_the_policy_makes_up_is_a_part_of_its_reply(reply, value):
    _, reward, terminated, _, info = begin().step(reply)
    if value is None:  # it was answered as a call, by what the tool really says
        assert not terminated
        assert "3" not in info["messages"][-1]["content"]
    else:
        assert (reward, terminated) == (value, True)


def test_schemas_are_those_of_transformers():
    from transformers.utils import get_json_schema

    env = begin(tools=[add])
    _, info = env.reset(seed=0)
    (offered,) = json.loads(info["messages"][0]["tools"])
    assert offered == get_json_schema(add)
    assert offered["function"]["parameters"]["required"] == ["a"]


class Bank(Sum):
    """Tools that know the episode."""

    def start(self, task):
        self.looked = 0

    @rlenv.tool
    def look(self, number: int) -> str:
        """Look up a number of the question.

        Args:
            number: which, from 0.
        """
        self.looked += 1
        return f"{self.task.metadata['pair'][number]}, look {self.looked}"


def test_methods_are_tools_with_the_episode_at_hand():
    env = Bank()
    env.reset(seed=3)
    a, b = env.task.metadata["pair"]
    assert env.step(call("look", number=1))[0] == f"{b}, look 1"
    copy = pickle.loads(pickle.dumps(env))
    for one in (env, copy):  # each its own, from here on
        assert one.step(call("look", number=0))[0] == f"{a}, look 2"
    env.reset(seed=4)
    assert env.step(call("look", number=1))[0].endswith("look 1")


def untyped(a):
    """Do something.

    Args:
        a: what.
    """


def undescribed(a: int) -> int:
    """Do something."""
    return a


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": []}, "has no tools"),
        ({"tools": [add, add]}, "two tools are called add"),
        ({"tools": [untyped]}, "the tool untyped needs a type hint"),
        ({"tools": [undescribed]}, "the tool undescribed needs"),
        ({"tools": [add], "max_calls": 0}, "at least 1"),
    ],
)
def test_what_an_author_gets_wrong_is_said(options, says):
    with pytest.raises(UserError, match=says):
        Sum(**options)


def test_results_that_are_no_text_are_json():
    def table(rows: int) -> list[dict[str, int]]:
        """Make rows.

        Args:
            rows: how many.
        """
        return [{"n": n} for n in range(rows)]

    assert Tool(table)({"rows": 2}) == '[{"n": 0}, {"n": 1}]'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
hostile = st.sampled_from(["</tool_call>", "<tool_call>", "</think>", "<think>", "a < b", "```"])


@given(st.dictionaries(st.text(), json_values | hostile, max_size=3))
def test_a_written_call_is_read_as_it_was(arguments):
    (read,) = parsing.tool_calls(
        f"First. {call('f', **{})} {parsing.write_tool_call('g', arguments)}"
    )[1:]
    assert (read.name, read.arguments, read.clean) == ("g", arguments, True)


def test_llamas_word_for_arguments():
    (read,) = parsing.tool_calls('{"name": "add", "parameters": {"a": 1}}')
    assert read.arguments == {"a": 1}
    both = '<tool_call>{"name": "add", "parameters": {}, "arguments": {}}</tool_call>'
    assert parsing.tool_calls(both)[0].problems == ("conflicting",)


class Dungeon(rlenv.ToolEnv):
    """Look around with a tool, and walk with words."""

    def generate(self, rng):
        return rlenv.Task("You are in a cave.", answer=rng.choice(["north", "south"]))

    def start(self, task):
        self.heard = []

    @rlenv.tool
    def look(self) -> str:
        """Look around."""
        return f"There is light in the {self.task.answer}."

    def respond(self, task, reply):
        self.heard.append(reply)
        if reply == task.answer:
            return rlenv.done("You are out.", reward=1.0)
        return "You bump into a wall."


class LouderDungeon(Dungeon):
    """Inherits the tool, and adds to the answer."""

    def respond(self, task, reply):
        answer = super().respond(task, reply)
        return answer.upper() if isinstance(answer, str) else answer


class Walks(rlenv.TextEnv):
    """Has a respond of its own, and knows nothing of tools."""

    respond = Dungeon.respond


class MixedDungeon(Walks, rlenv.ToolEnv):
    """Its respond comes from a class that stands before ToolEnv."""

    start, look, generate = Dungeon.start, Dungeon.look, Dungeon.generate


@pytest.mark.parametrize(
    ("kind", "wall"),
    [
        (Dungeon, "You bump into a wall."),
        (LouderDungeon, "YOU BUMP INTO A WALL."),
        (MixedDungeon, "You bump into a wall."),
    ],
)
def test_calls_are_run_and_other_replies_go_to_respond(kind, wall):
    env = kind(max_turns=10, max_calls=2)
    env.reset(seed=0, options={"task": rlenv.Task("You are in a cave.", answer="north")})
    said, _, over, _, info = env.step(call("look"))
    assert said == "There is light in the north."
    assert info["messages"][-1]["role"] == "tool"
    assert not over
    said, _, over, _, info = env.step("up")
    assert said == wall
    assert info["messages"][-1]["role"] == "user"
    assert not over
    env.step(call("look"))
    assert "only 2 calls are allowed" in env.step(call("look"))[0]
    _, reward, over, _, _ = env.step("north")
    assert over
    assert reward == 1.0
    assert env.heard == ["up", "north"]  # no call reached it


def test_a_tool_env_with_respond_plays_on_a_copy():
    env = pickle.loads(pickle.dumps(LouderDungeon(max_turns=3)))
    env.reset(seed=1)
    assert env.step(call("look"))[0].startswith("There is light")
    assert env.step("up")[0] == "YOU BUMP INTO A WALL."
