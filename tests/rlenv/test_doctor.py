"""`rlenv doctor`, what `rlenv` says alone, the options that commands share, and completion."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from rlenv.cli import main
from rlenv.cli.completion import script
from rlenv.cli.options import of_commands
from rlenv.common.extras import EXTRAS
from rlenv.common.version import __version__
from rlenv.core import registry
from tests.conftest import ROOT

# in this process no package of an extra can be found
LIGHT = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(name=name)
class Hidden:
    @staticmethod
    def find_spec(name):
        return None
import importlib.util
import rlenv.common.extras as extras
extras.find_spec = lambda name: None if name in extras.EXTRAS else importlib.util.find_spec(name)
sys.meta_path.insert(0, Missing())
from rlenv.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def light(*words, **variables):
    return subprocess.run(
        [sys.executable, "-c", LIGHT, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        timeout=120,
    )


@pytest.fixture(scope="module")
def doctor():
    assert main.COMMANDS["doctor"]
    ran = subprocess.run(
        [sys.executable, "-m", "rlenv", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=120,
    )
    return json.loads(ran.stdout)


def test_the_doctor_says_what_is_here(doctor):
    import torch
    import transformers

    assert doctor["rlenv"]["version"] == __version__
    assert doctor["versions"]["torch"] == torch.__version__
    assert doctor["versions"]["transformers"] == transformers.__version__
    assert doctor["torch"]["torch"].startswith(torch.__version__)
    assert (doctor["torch"]["gpus"] != "none") == torch.cuda.is_available()
    assert doctor["machine"]["python"].split()[1] == sys.version.split()[0]
    assert doctor["machine"]["cores"].startswith(f"{len(os.sched_getaffinity(0))} usable")
    assert doctor["extras"]["train"] == "installed"
    bundled = [name for name in registry.registered() if name.startswith("rlenv/")]
    assert doctor["data"]["environments"] >= len(bundled) > 100


def test_the_commit_is_that_of_the_checkout(doctor):
    git = ["git", "-C", ROOT, "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    assert doctor["rlenv"]["commit"].startswith(commit or "unknown")


def test_the_doctor_tries_each_sandbox(doctor):
    from rlenv.sandbox import Sandbox, SandboxError

    assert set(doctor["sandbox"]) == {"namespaces", "landlock", "docker"}
    for backend, said in doctor["sandbox"].items():
        try:
            Sandbox(backend, workers=1).close()
            assert said == "works"
        except SandboxError:
            assert said != "works"
            assert len(said) > 10


def test_the_doctor_in_a_light_install(tmp_path):
    (tmp_path / "owner").mkdir()
    ran = light("doctor", HF_HUB_OFFLINE="1", RLENV_DATA_ROOT=str(tmp_path), HF_TOKEN="secret-1")
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout
    assert said.startswith("```text\n")
    assert said.endswith("```\n")
    assert said.count("```") == 2
    assert re.search(r"torch +not installed; pip install 'verifiable-rl\[train\]'", said)
    assert re.search(r"lora +lacks peft; pip install 'verifiable-rl\[lora\]'", said)
    assert re.search(r"hub +offline", said)
    assert re.search(r"local copies +1 entries in RLENV_DATA_ROOT", said)
    assert "secret-1" not in said


def test_rlenv_alone_names_five_things(capsys):
    assert main.main([]) == 0
    said = capsys.readouterr().out
    named = [line for line in said.splitlines() if line.startswith("  ")]
    assert len(named) == 5
    assert all(re.search(r"rlenv (\w+)", line)[1] in main.COMMANDS for line in named)
    assert "rlenv --help" in said


SAME = ("--split", "--seed", "--temperature", "--max-tokens", "--device", "--threads", "--json")


def test_one_option_for_one_thing():
    """An option of one name takes the same kind of value in every command."""
    kinds = {}
    for name, parser in of_commands(main.COMMANDS):
        for one in (parser, *parser.subcommands().values()):
            for action in one._actions:
                for option in action.option_strings:
                    kinds.setdefault(option, {}).setdefault((action.type, action.nargs), name)
    assert set(SAME) <= set(kinds)
    assert {option: found for option, found in kinds.items() if len(found) > 1} == {}


def test_what_computes_with_a_model_says_with_what():
    for name, parser in of_commands(main.COMMANDS):
        options = set(parser.options())
        assert ("--device" in options) == ("--threads" in options), name
        assert not {"--out", "--into", "--outdir", "--num-samples"} & options, name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["init", "mine", "--into", "x"], "--into is now called --output"),
        (["data", "inspect", "x", "--samples", "2"], "--samples is now called --show"),
        (["data", "inspect", "x", "--text=body"], "--text is now called --column"),
        (["play", "rlenv/Wordle-v0", "--polcy", "x"], "Did you mean --policy?"),
        (["eval", "x", "rlenv/Wordle-v0", "--max_tokens=3"], "Did you mean --max-tokens?"),
        (["bits", "--txt", "x"], "Did you mean --text?"),  # before what is required is missed
    ],
)
def test_an_unknown_option_is_answered_by_the_nearest(words, says, capsys):
    with pytest.raises(SystemExit) as left:
        main.main(words)
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def complete(line, folder):
    """Press Tab after a line in a bash of its own, and return what bash then shows."""
    rc = folder / "rc"
    rc.write_text(f"PS1='ready> '\nset +o history\n{script('bash')}")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update(TERM="dumb", INPUTRC="/dev/null")
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", str(rc), "-i"])

    def read(until, seconds=20.0):
        said, end = "", time.monotonic() + seconds
        while until not in said and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                said += os.read(terminal, 65536).decode()
        return said

    try:
        read("ready> ")
        os.write(terminal, line.encode() + b"\t\t")
        os.write(terminal, b"#end\n")
        return read("#end")
    finally:
        os.write(terminal, b"\x15exit\n")
        os.close(terminal)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("line", "shows"),
    [
        ("rlenv doc", "rlenv doctor"),
        ("rlenv eval --max-to", "--max-tokens"),
        ("rlenv play rlenv/Word", "rlenv/Wordle-v0"),
        ("rlenv play rlenv/Wordle-v0 --split val", "validation"),
        ("rlenv data insp", "rlenv data inspect"),
        ("rlenv compare --flipp", "--flipp\x07"),  # there is none
        ("rlenv compare --sho", "--show"),  # of its second form
        ("rlenv train quickst", "quickstart.yaml"),  # a file
    ],
)
def test_bash_completes(line, shows, tmp_path):
    (tmp_path / "quickstart.yaml").touch()
    assert shows in complete(line, tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_knows_all_commands(shell, capsys):
    assert main.main(["completion", shell]) == 0
    made = capsys.readouterr().out
    for name in main.COMMANDS:
        assert re.search(rf"\b{name}\b", made)
    assert "rlenv/Arithmetic-v0" in made
    assert "max-tokens" in made


def test_completion_in_a_light_install():
    ran = light("completion", "bash")
    assert ran.returncode == 0, ran.stderr
    assert "--max-tokens" in ran.stdout
