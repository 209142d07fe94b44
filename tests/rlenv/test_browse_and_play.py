import io
import json
import re

import pytest
from rich.console import Console

import rlenv
from rlenv.cli import main
from rlenv.common.display import Display
from rlenv.core import registry
from rlenv.core.protocols import styled
from tests.conftest import DIGITS

ENV = "rlenv/Arithmetic-v0"


def test_list(capsys):
    assert main.main(["list"]) == 0
    assert ENV in capsys.readouterr().out
    assert main.main(["list", "--json", "rlenv/arith"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["id"] == ENV
    assert "17 + 25" in row["what"]
    assert main.main(["list", "nothing-like-it"]) == 2


def test_show(capsys):
    assert main.main(["show", ENV]) == 0
    text = capsys.readouterr().out
    for word in ("train", "validation", "test", "correct", "right from 1", "gold: "):
        assert word in text
    assert main.main(["show", ENV, "--json", "--option", "level=4"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["options"] == {"level": 4}
    assert shown["components"] == {"correct": 1.0}
    fingerprints = {part["fingerprint"] for part in shown["splits"].values()}
    assert len(fingerprints) == 3
    assert shown["splits"]["train"]["more"]


def test_show_an_environment_from_a_file(capsys):
    assert main.main(["show", f"{DIGITS}:Digits-v0"]) == 0
    assert "demo/Digits-v0" in capsys.readouterr().out


def answer(question: str) -> str:
    return str(sum(int(n) for n in question.removesuffix(" = ?").split(" + ")))


def play(monkeypatch, capsys, typed, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main.main(["play", ENV, "--seed", "3", *arguments]) == 0
    return capsys.readouterr().out


def test_play_in_a_pipe(monkeypatch, capsys):
    question = json.loads(play(monkeypatch, capsys, "", "--json"))["messages"][0]["content"]
    shown = play(monkeypatch, capsys, answer(question) + "\n")
    assert f"user: {question}" in shown
    assert "reward 1.00 right" in shown
    assert "correct" in shown
    episode = json.loads(play(monkeypatch, capsys, "0\n", "--json"))
    assert episode["reward"] == 0.0
    assert episode["components"] == {"correct": 0.0}


BOOK = """
import rlenv

@rlenv.register("demo/Book-v0")
class Book(rlenv.ToolEnv):
    def generate(self, rng):
        return rlenv.Task("How old is Ada?", answer=rng.randint(1, 99))

    @rlenv.tool
    def look_up(self, name: str) -> int:
        \"\"\"Look up an age.

        Args:
            name: a first name.
        \"\"\"
        return self.task.answer

    def score(self, task, reply):
        return reply == str(task.answer)
"""


def test_who_plays_is_told_of_tools_and_how_to_send(tmp_path, monkeypatch, capsys):
    """What the screen says of a call can be sent as it stands, but for the dots."""
    (tmp_path / "book.py").write_text(BOOK)
    words = ["play", f"{tmp_path}/book.py:demo/Book-v0", "--seed", "3"]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main.main(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Each line is a reply")
    assert "look_up(name: string)   Look up an age." in shown
    (call,) = [line.strip() for line in shown.splitlines() if "<tool_call>" in line]
    monkeypatch.setattr("sys.stdin", io.StringIO(call.replace("...", "Ada") + "\n"))
    assert main.main(words) == 0
    told = re.search(r"^tool: (\d+)$", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{call}\n{told[1]}\n"))
    assert main.main(words) == 0
    assert "reward 1.00 right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("console", "coloured"),
    [({}, True), ({"no_color": True}, False)],
)
def test_wordle_can_be_played_without_colours(console, coloured):
    screen = io.StringIO()
    display = Display(
        Console(
            file=screen,
            force_terminal=True,
            width=100,
            highlight=False,
            color_system="truecolor",
            **console,
        )
    )
    env = registry.make("rlenv/Wordle-v0")
    env.reset(options={"task": rlenv.Task("?", answer="crane")})
    messages = env.step("caper")[4]["messages"]
    display.message("user", messages[-1]["content"], styled(env, messages[-1]))
    said = screen.getvalue()
    assert ("\x1b[" in said) == coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said).upper()
    marks = re.findall(r"\b([A-Z]) ?([GYX])\b", plain.partition("GUESSES")[0])
    assert marks == [("C", "G"), ("A", "Y"), ("P", "X"), ("E", "Y"), ("R", "Y")]


def test_giving_up(monkeypatch, capsys):
    assert "no reply" in play(monkeypatch, capsys, "")
    assert json.loads(play(monkeypatch, capsys, "", "--json"))["gave_up"]


def test_a_checkpoint_plays(finished_run, monkeypatch, capsys):
    shown = play(monkeypatch, capsys, "", "--policy", str(finished_run / "grpo"))
    assert "assistant: " in shown
    assert "reward" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plya"], "Did you mean play?"),
        (["show", "rlenv/Nothing-v0"], "there is no environment"),
        (["play", ENV, "--split", "tain"], "Did you mean train?"),
        (["play", ENV, "--policy", "./nowhere"], "does not exist"),
        (["show", ENV, "--option", "level"], "key=value"),
    ],
)
def test_bad_input(words, says, capsys):
    assert main.main(words) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert says in errors


def test_help(capsys):
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in main.COMMANDS:
        assert command in text
