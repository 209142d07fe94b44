"""The parsers that say what they found and where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv import parsing

PARSERS = [
    parsing.last_boxed,
    parsing.hashes,
    parsing.thinking,
    parsing.after_thinking,
    parsing.answer,
    parsing.code,
    lambda reply: parsing.tag(reply, "a.b"),
    lambda reply: parsing.code(reply, "python"),
]

PIECES = [
    "\\boxed{", "{", "}", "####", "#", " ", "\n", "\r\n", "42", "-7", "a", "x y", "<think>",
    "</think>", "<answer>", "</answer>", "<a.b>", "</a.b>", "```", "~~~", "````", "python",
    "<tool_call>", "</tool_call>", '{"name": "f"}', '"', "[", "]", "\ud800", "é", "=", ":", ".",
    "is", "$", ",",
]  # fmt: skip

replies = st.text() | st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
plain = st.text(st.characters(exclude_characters="{}<>#`~\n\r", exclude_categories=["Cs"]))


@given(replies)
def test_never_raise_and_spans_index_the_reply(reply):
    for parse in PARSERS:
        found = parse(reply)
        if found is not None:
            assert 0 <= found.start <= found.end <= len(reply)
            assert reply[found.start : found.end] == found.text
            assert found.clean == (found.problems == ())
    for call in parsing.tool_calls(reply):
        assert reply[call.start : call.end] == call.text
        assert bool(call.name) == call.clean
    number = parsing.integer(reply)
    assert number is None or isinstance(number, int)


@given(plain, plain, plain)
def test_what_was_written_is_read_back(before, content, after):
    for written, parse in [
        (f"{before}\\boxed{{{content}}}{after}", parsing.last_boxed),
        (f"{before}<a.b>{content}</a.b>{after}", lambda reply: parsing.tag(reply, "a.b")),
        (f"<think>{before}</think><answer>{content}</answer>{after}", parsing.answer),
        (f"{before}\n```python\n{content}\n```\n{after}", parsing.code),
        (f"{before}\n~~~~\n{content}\n~~~~~\n{after}", parsing.code),
    ]:
        found = parse(written)
        assert found is not None
        assert found.text == content
        assert found.clean
    found = parsing.hashes(f"{before}\n#### {content}\n{after}")
    assert (found.text if found else "") == content.strip()


@given(st.lists(plain, min_size=2, max_size=4))
def test_of_several_the_last_counts_and_is_marked(contents):
    stripped = {content.strip() for content in contents}
    problem = "repeated" if len(stripped) == 1 else "conflicting"
    for form, parse in [
        ("\\boxed{%s} ", parsing.last_boxed),
        ("<answer>%s</answer>", parsing.answer),
        ("```\n%s\n```\n", parsing.code),
    ]:
        reply = "".join(form.replace("%s", content) for content in contents)
        found = parse(reply)
        assert found.text == contents[-1]
        assert found.problems == (problem,)


@pytest.mark.parametrize(
    ("reply", "text", "problems"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", ()),
        (r"\boxed{1} then \boxed{2", "1", ("unclosed",)),
        (r"\boxed{1} \boxed{1 }", "1 ", ("repeated",)),
        (r"\boxed{a \boxed{b}}", "b", ("nested",)),
        (r"\boxed{a \boxed{b}", "b", ("nested", "unclosed")),
        (r"} \boxed{1}", "1", ()),
        (r"\boxed{}", "", ()),
        (r"\boxed{", None, None),
        (r"\boxed 5", None, None),
    ],
)
def test_boxes(reply, text, problems):
    check(parsing.last_boxed(reply), text, problems)


@pytest.mark.parametrize(
    ("reply", "text", "problems"),
    [
        ("so\n#### 42", "42", ()),
        ("#### 1,000 \nmore", "1,000", ()),
        ("#### 41\n#### 42", "42", ("conflicting",)),
        ("#### 42\n####", "42", ("unclosed",)),
        ("#### 41 #### 42", "42", ("conflicting",)),
        ("####", None, None),
        ("##### 42", None, None),
        ("### 42", None, None),
    ],
)
def test_hashes(reply, text, problems):
    check(parsing.hashes(reply), text, problems)


@pytest.mark.parametrize(
    ("reply", "text", "problems"),
    [
        ("<answer>1</answer>", "1", ()),
        ("<answer>1</answer><answer>2", "1", ("unclosed",)),
        ("<answer><answer>1</answer></answer>", "1", ("nested",)),
        ("1</answer><answer>2</answer>", "2", ("unopened",)),
        ("<think><answer>1</answer></think>2", None, None),
        ("<think><answer>1</answer></think><answer>2</answer>", "2", ()),
        ("<answer>1</answer></think>2", None, None),
        ("<think>..</think><answer>1</answer><think>..", None, None),
        ("<Answer>1</Answer>", None, None),
        ("<answer>1", None, None),
    ],
)
def test_answers(reply, text, problems):
    check(parsing.answer(reply), text, problems)


@pytest.mark.parametrize(
    ("reply", "text", "problems", "rest"),
    [
        ("<think>a</think>b", "a", (), "b"),
        ("a</think>b", "a", ("unopened",), "b"),
        ("<think>a", "a", ("unclosed",), None),
        ("<think>a</think>b<think>c</think>d", "a</think>b<think>c", (), "d"),
        ("<think>a</think>b<think>c", "a</think>b<think>c", ("unclosed",), None),
        ("a</think>b<think>c", "a</think>b<think>c", ("unopened", "unclosed"), None),
        ("b", None, None, "b"),
    ],
)
def test_thinking(reply, text, problems, rest):
    check(parsing.thinking(reply), text, problems)
    check(parsing.after_thinking(reply), rest, ())


@pytest.mark.parametrize(
    ("reply", "language", "text", "problems"),
    [
        ("```python\nx\n```", None, "x", ()),
        ("```\nx\n```", "python", "x", ()),
        ("```py\nx\n```", "python", "x", ()),
        ("```json\nx\n```", "python", None, None),
        ("```json\nx\n```\n```python\ny\n```", "python", "y", ()),
        ("```\na\n```\n```\nb\n```", None, "b", ("conflicting",)),
        ("```\na\n```\n```\nb", None, "a", ("unclosed",)),
        ("````\n```\nx\n```\n````", None, "```\nx\n```", ()),
        ("```\n~~~\n```", None, "~~~", ()),
        ("```\n```", None, "", ()),
        ("```python\nx", None, None, None),
        ("```x```", None, None, None),
        ("    ```\nx\n    ```", None, None, None),
    ],
)
def test_code(reply, language, text, problems):
    check(parsing.code(reply, language), text, problems)


@given(st.dictionaries(st.text(), st.integers() | st.text().filter(lambda t: "<" not in t)))
def test_tool_calls_are_read_back(arguments):
    arguments = {k.replace("<", ""): v for k, v in arguments.items()}
    for value in (arguments, json.dumps(arguments)):
        written = json.dumps({"name": "f", "arguments": value})
        for reply in (
            f"<tool_call>{written}</tool_call>",
            f"<think>hm</think>\n<tool_call>\n{written}\n</tool_call>",
            written,
            f"[{written}]",
            f"```json\n{written}\n```",
        ):
            (call,) = parsing.tool_calls(reply)
            assert (call.name, call.arguments, call.problems) == ("f", arguments, ())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('<tool_call>{"name": "f"}</tool_call>', [("f", ())]),
        (
            '<tool_call>{"name": "f"}</tool_call>and<tool_call>{"name": "g"}</tool_call>',
            [("f", ()), ("g", ())],
        ),
        ("<tool_call>{</tool_call>", [("", ("not JSON",))]),
        ('<tool_call>{"name": "f"}', [("", ("unclosed",))]),
        (
            '<tool_call><tool_call>{"name": "f"}</tool_call>',
            [("", ("unclosed",)), ("f", ())],
        ),
        ("<tool_call>{}</tool_call>", [("", ("no name",))]),
        ("<tool_call></tool_call>", [("", ("not JSON",))]),
        (
            '<tool_call>{"name": "f", "arguments": 1}</tool_call>',
            [("", ("arguments are no object",))],
        ),
        ('<tool_call>{"name": "f", "name": "g"}</tool_call>', [("", ("conflicting",))]),
        ('<tool_call>{"name": "f", "arguments": {"a": NaN}}</tool_call>', [("", ("not JSON",))]),
        ('<think><tool_call>{"name": "f"}</tool_call></think>', []),
        ('<think><tool_call>{"name": "f"}</tool_call>', []),
        ('</tool_call>{"name": "f"}', []),
        ('I call {"name": "f"}', []),
        ('{"name": "f"} {"name": "g"}', []),
        ('[{"name": "f"}, {"name": "g"}]', [("f", ()), ("g", ())]),
        ('{"answer": 42}', []),
        ("[]", []),
    ],
)  # fmt: skip
def test_tool_calls(reply, expected):
    assert [(call.name, call.problems) for call in parsing.tool_calls(reply)] == expected


@pytest.mark.parametrize(
    "reply",
    [
        "=1" + " " * 100_000 + "x",
        "\\boxed{" * 20_000,
        "\\boxed{a" * 20_000 + "}" * 20_000,
        "{" * 100_000,
        "<answer>" * 20_000 + "</answer>" * 20_000,
        "<think>" * 20_000,
        "```\n" * 30_000,
        "`" * 100_000,
        "#### " * 20_000,
        "[" * 100_000,
        "<tool_call>" * 20_000,
        ",1" * 50_000,
    ],
)
def test_hostile_replies_end(reply):
    # in anything but linear time these would take minutes to hours
    for parse in [*PARSERS, parsing.tool_calls, parsing.integer]:
        parse(reply)


def check(found, text, problems):
    if text is None:
        assert found is None
    else:
        assert (found.text, found.problems) == (text, problems)
