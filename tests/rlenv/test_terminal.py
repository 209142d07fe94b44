"""What rlenv prints: nothing that others wrote drives the terminal."""

import ast
import io
import json
import re
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rlenv.cli import main
from rlenv.common.console import Console
from rlenv.common.display import Display
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import complain, say, say_json, visible
from tests.conftest import ROOT

EVIL = "\x1b[2J\x1b]0;title\x07\x9b31m\x90q\x9c\u202etxt\u2066\r\x7f\ud800"
MARKUP = "[red]x[/red] [/] [bold :smile: [link=http://x]y"
OBEYED = {
    *(set(range(32)) - {9, 10}),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
}
# any text, and much of what must not come through
texts = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(sorted(map(chr, OBEYED))),
        st.sampled_from([EVIL, MARKUP, "\r\n"]),
    ),
    max_size=6,
).map("".join)


def obeyed(text):
    return {hex(ord(c)) for c in text if ord(c) in OBEYED}


def printed(*shown, **how):
    out = io.StringIO()
    console = Console(file=out, **{"width": 200, **how})
    for one in shown:
        console.print(one)
    return out.getvalue()


@given(texts)
@example(EVIL)
def test_nothing_that_a_terminal_obeys_comes_through(text):
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text, style="bold"))
    both = Text.assemble((text, "red"), "-", (text, "dim"))
    assert obeyed(visible(text)) == set()
    assert obeyed(printed(text, Text(text), table, both)) == set()
    assert obeyed(printed(text, both, width=10)) == set()


@given(texts)
@example(EVIL)
def test_a_display_shows_only_text(text):
    out = io.StringIO()
    display = Display(Console(file=out, width=300))
    display.say(text)
    display.message(text, text)
    display.table([text, "x"], [[text, text]])
    display.begin(text, 10)
    display.update(10, {"loss": 1.0})
    display.end()
    display.episodes([{"prompt": text, "reply": text, "reward": 0.5, "status": text}])
    assert obeyed(out.getvalue()) == set()


def test_colours_of_our_own_stay_and_no_others_come():
    styled = printed(Text(f"a{EVIL}b", style="red"), force_terminal=True, color_system="standard")
    plain = printed(Text("a-b", style="red"), force_terminal=True, color_system="standard")
    assert styled.count("\x1b") == plain.count("\x1b") == 2
    assert "\\x1b[2J" in styled
    assert "\\u202e" in styled


class Foreign:
    """What is drawn by somebody else's code."""

    def __rich_console__(self, console, options):
        yield Segment(f"{EVIL}\n")
        yield f"{EVIL} {MARKUP}"


def test_what_draws_itself_is_filtered_too():
    shown = printed(Foreign(), Panel(Foreign(), title=EVIL), Rule(EVIL))
    assert obeyed(shown) == set()
    assert MARKUP in shown
    assert shown.count("\\x1b[2J") == 6


def test_styles_stay_with_their_text():
    text = Text.assemble("a", ("b\x1bc", "red"), ("d", "bold"))
    shown = printed(text, force_terminal=True, color_system="standard")
    assert shown == "a\x1b[31mb\\x1bc\x1b[0m\x1b[1md\x1b[0m\n"


def test_the_line_that_is_drawn_anew_still_moves_the_cursor():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with Live(Text("one"), console=console, auto_refresh=False) as live:
        live.update(Text(f"two{EVIL}"), refresh=True)
    assert "\x1b[2K" in out.getvalue()  # rich's own
    assert "\x1b[2J" not in out.getvalue()
    assert "two\\x1b[2J" in out.getvalue()


@pytest.mark.parametrize("text", [MARKUP, "[", "[/", "\\[x]", "a\\", ":boom:"])
def test_markup_is_text(text):
    out = io.StringIO()
    display = Display(Console(file=out, width=300))
    display.say(text)
    display.message("user", text)
    display.table([text], [[text], ["x"]])
    display.episodes([{"prompt": text, "reply": text, "reward": None, "status": "ok"}])
    assert out.getvalue().count(text) == 6


@given(texts)
def test_json_comes_back_as_it_was(text):
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        say_json({"text": text, text: [text]})
        say_json([text], indent=1)
        say_json(text, ensure_ascii=True)
    assert obeyed(out.getvalue()) == set()
    found, rest = json.JSONDecoder().raw_decode(out.getvalue())
    # two halves of a pair that stand side by side are one character to any reader of JSON
    assert found == json.loads(json.dumps({"text": text, text: [text]}))
    assert rest == out.getvalue().index("\n")


def test_lines_and_errors(capsys):
    say(EVIL)
    complain(EVIL)

    def fails():
        raise UserError(f"the server said {EVIL}")

    assert main_guard(fails) == 2

    def stops():
        raise KeyboardInterrupt(EVIL)

    assert main_guard(stops) == 130
    out, err = capsys.readouterr()
    assert obeyed(out + err) == set()
    assert "error: the server said \\x1b[2J" in err


SCRIPT = f"""
import logging, sys, threading, warnings
from rlenv.common.errors import main_guard
EVIL = {EVIL!r}
def body():
    log = logging.getLogger("rlenv.x")
    log.warning("one %s", EVIL)
    other = logging.getLogger("foreign")
    other.addHandler(logging.StreamHandler(sys.stdout))
    other.propagate = False
    other.warning("two %s", EVIL)
    try:
        raise ValueError("three " + EVIL)
    except ValueError:
        log.exception("failed")
    warnings.warn("four " + EVIL)
    thread = threading.Thread(target=lambda: 1 / len(EVIL[:0]), name=EVIL[:9])
    thread.start()
    thread.join()
    raise RuntimeError("five " + EVIL)
main_guard(body)
"""


def test_logs_warnings_and_tracebacks():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 1
    assert obeyed(out + err) == set()
    for word in ("one", "three", "four", "five"):
        assert f"{word} \\x1b[2J" in err
    assert "two \\x1b[2J" in out
    assert "ZeroDivisionError" in err
    assert "RuntimeError: five" in err


ENVIRONMENT = f'''
"""{EVIL.encode("unicode_escape").decode()} [/] [red]"""
import rlenv
EVIL = {EVIL!r} + {MARKUP!r}

@rlenv.register("evil/Evil-v0")
class Evil(rlenv.SingleTurnEnv):
    __doc__ = EVIL.replace('\\ud800', '')  # Python itself refuses it here

    def generate(self, rng):
        return rlenv.Task(f"{{EVIL}} {{rng.randrange(10**6)}}", answer="7", metadata={{"x": EVIL}})

    def score(self, task, reply):
        return rlenv.Reward(0.0, {{EVIL: 0.0}}, detail=EVIL)

    def demonstrate(self, task, messages):
        return EVIL
'''


@pytest.fixture
def evil(tmp_path):
    path = tmp_path / "evil.py"
    path.write_text(ENVIRONMENT)
    return f"{path}:evil/Evil-v0"


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("command", ["show", "play", "check"])
def test_commands_on_an_environment_that_says_such_things(evil, command, more, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: EVIL + MARKUP)
    limits = ["--tasks", "8", "--draws", "100", "--seconds", "5"] if command == "check" else []
    main.main([command, evil, *limits, *more])
    out, err = capsys.readouterr()
    assert obeyed(out + err) == set()
    assert out
    if more:
        json.loads(out)


def test_a_run_that_kept_such_episodes_is_shown(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(
        "run_dir: run\nenv: rlenv/Arithmetic-v0\nstages: {grpo: {}}\n"
    )
    said = EVIL + MARKUP
    episode = {"stage": "grpo", "step": 1, "prompt": said, "reply": said, "reward": 1.0}
    more = {"detail": said, "components": {said: 1.0}, said: said, "status": said}
    (tmp_path / "episodes.jsonl").write_text(json.dumps({**episode, **more}) + "\n")
    assert main.main(["view", str(tmp_path)]) == 0
    assert MARKUP in capsys.readouterr().out.replace("\n", " ")
    assert main.main(["view", str(tmp_path), "--json"]) == 0
    shown = capsys.readouterr().out
    assert obeyed(shown) == set()
    assert json.loads(shown)["reply"] == said


# they print for a program that reads it, in processes of their own, or what is ours alone
PRINT_THEMSELVES = {
    "rlenv/common/door.py",
    "rlenv/common/terminal.py",
    "rlenv/conformance/probe.py",
    "rlenv/sandbox/image.py",
    "rlenv/sandbox/results.py",
    "rlenv/environments/math/answers/decide.py",
}
GUEST = "rlenv/sandbox/guest/"


def modules():
    for path in sorted((ROOT / "rlenv").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in PRINT_THEMSELVES and not name.startswith(GUEST):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def ways_round(tree):
    """What writes to a terminal past the filter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for name in node.names:
                if (module, name.name) in {
                    ("rich", "print"),
                    ("rich", "get_console"),
                    ("rich.console", "Console"),
                    ("rich.markup", "escape"),
                    ("rich.progress", "track"),
                } or module.startswith(("rich.prompt", "rich.logging", "rich.traceback")):
                    yield f"line {node.lineno} imports {name.name} of {module}"
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            if called in {"print", "rich.print", "rich.console.Console", "Text.from_markup"} or (
                re.fullmatch(r"(sys\.)?(stdout|stderr)(\.buffer)?\.write(lines)?", called)
            ):
                yield f"line {node.lineno} calls {called}"
            if any(word.arg in {"markup", "emoji", "highlight"} for word in node.keywords) and (
                "onsole" in called
            ):
                yield f"line {node.lineno} lets a console read markup"


def test_no_module_writes_past_the_filter():
    found = {name: ways for name, tree in modules() if (ways := list(ways_round(tree)))}
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "print(reply)",
        "from rich.console import Console",
        "import rich.console\nrich.console.Console()",
        "import sys\nsys.stderr.write(reply)",
        "from rich import print",
        "console.print(reply, markup=True)",
    ],
)
def test_the_ways_round_the_filter_are_known(source):
    assert list(ways_round(ast.parse(source)))
