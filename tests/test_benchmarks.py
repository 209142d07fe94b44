"""The benchmarks start, and what they share measures what it says."""

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(
    path.stem
    for path in BENCHMARKS.glob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
HELP_OF_ALL = """
import contextlib, importlib, io, json, sys
found = {}
for name in sys.argv[1:]:
    sys.argv, printed = [name, "--help"], io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            importlib.import_module(name).main()
    except SystemExit as end:
        found[name] = printed.getvalue() if not end.code else f"exit code {end.code}"
    except ImportError as error:
        found[name] = f"needs {error.name}"
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def harness():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import harness
    finally:
        sys.path.remove(str(BENCHMARKS))
    return harness


@pytest.fixture(scope="module")
def runs(harness):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import runs
    finally:
        sys.path.remove(str(BENCHMARKS))
    return runs


@pytest.fixture(scope="module")
def help_of_all():
    """What each script prints for `--help`; all in one process, since imports take the time."""
    pytest.importorskip("trl")
    path = os.pathsep.join([str(BENCHMARKS), str(ROOT)])
    command = [sys.executable, "-c", HELP_OF_ALL, *SCRIPTS]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_there_are_benchmarks():
    assert len(SCRIPTS) > 15
    assert "generation" in SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_does(name, help_of_all):
    said = help_of_all[name]
    if said == "needs atheris":  # the fuzzer is no package that the tests install
        pytest.skip(said)
    assert said.startswith("usage:")
    assert f"benchmarks/{name}.py" in said


def test_pages_name_benchmarks_that_are_there():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    pages += (ROOT / "configs").glob("*.yaml")
    named = {
        name for page in pages for name in re.findall(r"benchmarks/(\w+\.\w+)", page.read_text())
    }
    assert "recipe.py" in named
    assert {name for name in named if not (BENCHMARKS / name).exists()} == set()


def test_contenders_take_turns(harness):
    order = []

    def contender(name):
        def run():
            order.append(name)
            return len(order)

        return run

    contenders = {name: contender(name) for name in "AB"}
    found = harness.take_turns(contenders, 2, warm_up=1)
    assert "".join(order) == "ABABAB"
    assert found == {"A": [3, 5], "B": [4, 6]}


def test_a_ratio_is_taken_within_its_round(harness):
    # the second round was three times as slow for both
    found = harness.ratio([2.0, 6.0, 2.2], to=[1.0, 3.0, 1.0])
    assert found == harness.Spread(2.0, 2.0, 2.2)
    assert f"{found:5.1f}" == "  2.0 [2.0, 2.2]"


def test_seconds_are_for_one_where_the_number_is_known(harness):
    ticks = iter([10.0, 14.0, 20.0, 24.0])
    clock = lambda: next(ticks)  # noqa: E731
    assert harness.timed(lambda: 8, clock)() == 0.5
    assert harness.timed(lambda: None, clock)() == 4.0


def test_a_command_is_measured_once(harness, tmp_path):
    log, kept = tmp_path / "log", tmp_path / "usage.json"
    program = f"x = bytearray(150_000_000); open({str(log)!r}, 'a').write('ran ')"
    command = [sys.executable, "-c", program]
    first = harness.carry_out(command, kept, before=1000.0)
    assert first.megabytes > 150_000_000 / 2**20
    assert 1000 < first.seconds < 1500
    assert harness.carry_out(command, kept) == first
    assert log.read_text() == "ran "


def test_the_stages_of_a_run_keep_their_order(harness, runs, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(harness, "carry_out", lambda command, kept: commands.append(command))
    stages = {"tokenizer": {}, "pretrain": {"steps": 2}, "extend": {}, "dpo": {}}
    runs.train(tmp_path / "run", stages, seed=3, env="rlenv/Arithmetic-v0", model=None)
    ((*_, path),) = commands
    written = yaml.safe_load((tmp_path / "run.yaml").read_text())
    assert path == str(tmp_path / "run.yaml")
    assert list(written.pop("stages")) == list(stages)
    run_dir = str(tmp_path / "run")
    assert written == {
        "run_dir": run_dir,
        "threads": 1,
        "seed": 3,
        "env": "rlenv/Arithmetic-v0",
    }


def test_a_clock_counts_from_the_end_of_the_first_step(runs):
    ticks = iter([0.0, 10.0, 11.0, 13.0])
    clock = runs.StepTimes(lambda: next(ticks))
    for event, tokens in zip(["train_begin"] + 3 * ["step_end"], [0, 5, 8, 11], strict=True):
        state = SimpleNamespace(num_input_tokens_seen=tokens)
        getattr(clock, f"on_{event}")(None, state, None)
    assert clock.seconds() == [10.0, 1.0, 2.0]
    assert clock.rate() == 2.0


def test_processor_time_of_children_is_counted(harness, tmp_path):
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    usage = harness.carry_out([sys.executable, "-c", parent], tmp_path / "usage.json")
    assert usage.children >= 0.3


def test_a_command_that_fails_ends_the_benchmark(harness, tmp_path):
    kept = tmp_path / "usage.json"
    with pytest.raises(SystemExit, match="failed"):
        harness.carry_out([sys.executable, "-c", "raise SystemExit(3)"], kept)
    assert not kept.exists()


def test_memory_is_that_of_the_work_alone(harness):
    block = bytearray(100_000_000)  # held before, so it does not count
    added = harness.memory_added(lambda: bytearray(50_000_000))
    assert 45 < added < 90
    assert len(block) == 100_000_000


def test_a_child_hands_its_result_back(harness, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import json, os, sys\n"
        "what = json.loads(sys.argv[sys.argv.index('--child') + 1])\n"
        "print('on the way')\n"
        "print(json.dumps([what['n'] + 1, os.environ['COLOUR'], sys.argv[-1]]))\n"
    )
    found, said = harness.in_child(str(script), {"n": 1}, "--last", env={"COLOUR": "red"})
    assert found == [2, "red", "--last"]
    assert said == "on the way"


def test_what_people_wrote_stays_in_a_page(harness, tmp_path, capsys):
    page = tmp_path / "page.md"
    assert harness.by_hand(page) == []
    harness.write_page(page, ["# Title", "<!-- by hand -->", "Words.", "<!-- end -->", "rest", ""])
    assert page.read_text().endswith("rest\n")
    assert str(page) in capsys.readouterr().out
    (kept, _) = harness.by_hand(page)
    assert kept == "<!-- by hand -->\nWords.\n<!-- end -->"
    page.write_text("<!-- by hand -->\nWords.\n")
    with pytest.raises(SystemExit, match="a line of its own"):
        harness.by_hand(page)


def test_the_options_have_defaults(harness):
    parser = harness.parser("What it does.", rounds=5, seeds=[0, 1], json=None, child=None)
    parsed = parser.parse_args(["--child", '["a", 1]'])
    assert vars(parsed) == {"rounds": 5, "seeds": [0, 1], "json": None, "child": ["a", 1]}
    said = parser.format_help()
    assert "(default: 0 1)" in said
    assert "--child" not in said


def test_conditions_name_versions_and_settings(harness):
    said = harness.conditions(libraries=["pytest"], threads=1)
    assert f"pytest {pytest.__version__}" in said
    assert "threads 1" in said
    assert "load average" in said
