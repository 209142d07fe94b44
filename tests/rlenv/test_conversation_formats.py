"""Conversations are the same in whatever form they come, and rows that hold none say why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.data import conversation_formats
from rlenv.data.conversation_formats import BadRow

TEXT = st.text(min_size=1).filter(str.strip)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3)


def chat(pairs):
    return [
        message
        for asked, said in pairs
        for message in (
            {"role": "user", "content": asked},
            {"role": "assistant", "content": said},
        )
    ]


def read(row):
    return conversation_formats.read(row, conversation_formats.recognise(row, "here"))


@given(PAIRS)
def test_forms_of_several_turns_give_the_same_messages(pairs):
    messages = chat(pairs)
    names = {"user": "human", "assistant": "gpt"}
    shared = [{"from": names[m["role"]], "value": m["content"]} for m in messages]
    assert read({"messages": messages}) == [messages]
    assert read({"conversations": shared, "id": 7}) == [messages]
    assert read({"prompt": messages[:-1], "completion": messages[-1:]}) == [messages]


@given(TEXT, TEXT)
def test_forms_of_one_turn_give_the_same_messages(asked, said):
    messages = chat([(asked, said)])
    assert read({"prompt": asked, "completion": said}) == [messages]
    stripped = chat([(asked.strip(), said)])
    assert read({"instruction": asked, "input": "", "output": said}) == [stripped]
    assert read({"instruction": asked, "output": said}) == [stripped]


def test_an_input_follows_its_instruction():
    row = {"instruction": "Add.", "input": "1 and 2", "output": "3", "system": "Be brief."}
    system, *rest = read(row)[0]
    assert system == {"role": "system", "content": "Be brief."}
    assert rest == chat([("Add.\n\n1 and 2", "3")])


def test_each_instance_is_a_conversation():
    row = {
        "instruction": "Add.",
        "instances": [{"input": "1 and 2", "output": "3"}, {"input": "", "output": "0"}],
    }
    assert read(row) == [chat([("Add.\n\n1 and 2", "3")]), chat([("Add.", "0")])]


def test_tools_stand_in_the_first_message():
    tool = {"type": "function", "function": {"name": "look"}}
    for tools in ([tool], '[{"type": "function", "function": {"name": "look"}}]'):
        first = read({"messages": chat([("a", "b")]), "tools": tools})[0][0]
        assert first["tools"] == '[{"type": "function", "function": {"name": "look"}}]'


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "a", "output": "  "}, "an empty reply"),
        ({"instruction": "a", "output": None}, "no column output"),
        ({"instruction": " ", "input": "", "output": "b"}, "no question before the first reply"),
        ({"instruction": "a", "output": ["b"]}, "a message without text"),
        ({"instruction": "a", "instances": []}, "no instances"),
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "user", "content": "a"}]}, "no reply"),
        ({"messages": [{"role": "user"}]}, "a message without text"),
        ({"messages": [{"content": "a"}]}, "a message without 'role'"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "a message from 'bot'"),
        ({"conversations": [{"from": "gpt", "value": "b"}]}, "no question before the first reply"),
        ({"prompt": "a", "completion": ""}, "an empty reply"),
    ],
)
def test_a_bad_row_says_why(row, reason):
    form = conversation_formats.recognise(row, "here")
    with pytest.raises(BadRow) as bad:
        conversation_formats.read(row, form)
    assert str(bad.value) == reason


def test_unknown_columns_are_named():
    with pytest.raises(UserError, match=r"here .* its columns are question, outputs; .* Did you"):
        conversation_formats.recognise(["question", "outputs"], "here")
