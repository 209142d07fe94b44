"""Answers side by side."""

import json
import shutil

import pytest

from rlenv.cli import main
from rlenv.cli.compare import name_columns
from rlenv.cli.play import checkpoint_policy
from rlenv.common.errors import UserError
from rlenv.data.prompts import read_prompts
from rlenv.evaluation.side_by_side import SideBySide
from rlenv.reports.answers_page import answers_page, markdown

PROMPTS = ["1 2 3", "4 5"]


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("1 2 3\n\n4 5\n")
    return path


def compare(finished_run, prompts, *more):
    checkpoints = [f"base={finished_run}/pretrain", str(finished_run / "sft")]
    return main.main(
        ["compare", *checkpoints, "--prompts", str(prompts), "--max-tokens", "4", *more]
    )


def test_answers_are_those_of_each_checkpoint(finished_run, prompts, capsys):
    assert compare(finished_run, prompts, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [messages[0]["content"] for messages in found["prompts"]] == PROMPTS
    for name, stage in {"base": "pretrain", "sft": "sft"}.items():
        policy = checkpoint_policy(str(finished_run / stage), 0.0, 4, 0)
        wanted = [policy([{"role": "user", "content": text}]) for text in PROMPTS]
        assert found["answers"][name] == wanted


@pytest.mark.parametrize("suffix", [".md", ".html", ".json"])
def test_the_table_is_written(finished_run, prompts, tmp_path, suffix, capsys):
    output = tmp_path / f"answers{suffix}"
    assert compare(finished_run, prompts, "--output", str(output)) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("prompt", "base", "sft", *PROMPTS))
    written = output.read_text()
    assert all(text in written for text in (*PROMPTS, "base", "sft"))


def test_a_model_without_a_template_goes_on_with_the_text(finished_run, prompts, tmp_path, capsys):
    bare = shutil.copytree(finished_run / "pretrain", tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    arguments = ["compare", str(bare), "--prompts", str(prompts), "--max-tokens", "3", "--json"]
    assert main.main(arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["answers"]["bare"]) == 2


def test_prompts_come_from_conversations_too(tmp_path):
    rows = [{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "a"}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    prompts, references = read_prompts(path, 9)
    assert prompts == [[{"role": "user", "content": "Add.\n\n1 2"}]]
    assert references == ["3"]
    path.write_text(json.dumps([{"prompt": "a"}, {"prompt": [{"role": "user", "content": "b"}]}]))
    prompts, references = read_prompts(path, 9)
    assert [messages[0]["content"] for messages in prompts] == ["a", "b"]
    assert references == ["", ""]


def test_tables_escape_what_they_hold():
    made = SideBySide(
        [[{"role": "user", "content": "a|b\n<b>"}]], ["so"], {"x": ["<i>|"]}, {"x": [True]}
    )
    assert markdown(made).splitlines()[2] == ("| a\\|b<br>&lt;b&gt; | &lt;i&gt;\\| […] | so |")
    assert "<i>" not in answers_page(made)
    assert "&lt;i&gt;| […]" in answers_page(made)


def test_columns_have_names_of_their_own():
    assert name_columns(["a/sft", "b/rl"]) == {"sft": "a/sft", "rl": "b/rl"}
    assert name_columns(["a/sft", "b/sft"]) == {"a/sft": "a/sft", "b/sft": "b/sft"}
    assert name_columns(["new=b/sft"]) == {"new": "b/sft"}
    with pytest.raises(UserError, match="same name"):
        name_columns(["a=x", "a=y"])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--output", "x.pdf"], "ends in none of .md"),
        (["--output", "/dev/null/x.md"], "/dev/null is a file"),
        (["--limit", "0"], "--limit"),
        (["--prompts", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
    ],
)
def test_mistakes_are_named(finished_run, prompts, more, says, capsys):
    assert compare(finished_run, prompts, *more) == 2
    assert says in capsys.readouterr().err
