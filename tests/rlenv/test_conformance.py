import json
import random

import numpy as np
import pytest

import rlenv
from rlenv.cli import check, main
from rlenv.conformance import CHECKS, CheckSettings, env_under_test, run, speed
from tests.conftest import GSM8K, ROOT, needs_gsm8k

FILE = ROOT / "tests" / "broken_envs.py"
FEW = CheckSettings(tasks=25, draws=4000, seconds=20, processes=1)

BROKEN = {
    "Drifts": ("gymnasium", "check_env"),
    "Ascii": ("text spaces", "action_space"),
    "Moody": ("determinism", "the observation of turn 1"),
    "OwnWay": ("groups", "reset played another"),
    "Seeder": ("own randomness", "Python's global generator"),
    "SeedSplit": ("split disjointness", "different tasks are in both"),
    "Numbered": ("split disjointness", "under different keys"),
    "Single": ("split disjointness", "split can't be drawn from"),
    "Worlds": ("task identity", "that differ in prompt, answer or metadata have only"),
    "Dozen": ("held-out tasks", "fewer than 30"),
    "Apples": ("gold reply", "missed 1 on 25 of 25"),
    "Fragile": ("worthless replies", "broke the grader"),
    "Generous": ("worthless replies", "an empty reply"),
    "Harsh": ("reward range", "earned -1, outside of [0, 1]"),
    "TwoLedgers": ("reward range", "adds up to"),
    "AnyOf": ("gaming", "several answers at once"),
    "BothEnds": ("gaming", "several answers at once"),
    "Restated": ("gaming", "a formula of the prompt, not worked out, scored 1 on"),
    "Palindromes": ("gaming", "the prompt echoed back scored 1 on"),
    "Gullible": ("gaming", "grader-override text scored 1 on 25 of 25"),
    "FakeTools": ("gaming", "a fake tool result"),
    "FakeTurns": ("gaming", "a fake user turn"),
    "Credulous": ("gaming", "the environment's own words"),
    "AllAtOnce": ("gaming", "several answers at once"),
    "EmptyBox": ("gaming", "a format-only reply scored 0.2"),
    "Stale": ("reset and step", "after a reset in the middle"),
    "Shared": ("reset and step", "while another instance was playing"),
    "Exposed": ("reset and step", "changing the info"),
    "Endless": ("reset and step", "after the end raised nothing"),
    "Lambda": ("picklable", "pickle"),
}
SLOW = ["across processes", "speed"]  # tested by themselves


def failures(outcomes):
    return {outcome.check: outcome for outcome in outcomes if outcome.status == "fail"}


PLAIN = ["rlenv/Arithmetic-v0", "rlenv/Countdown-v0"]
QUESTIONS = [{"prompt": f"What is half of {2 * n}?", "answer": f"#### {n}"} for n in range(600)]
MIXED = {"members": {"rlenv/Arithmetic-v0": 1, f"{ROOT / 'tests/broken_envs.py'}:Sum-v0": 1}}
MADE_OF_OTHERS = ["rlenv/Mix-v0", "rlenv/MathWord-v0", "rlenv/GSM8K-v0"]
SEVERAL_TURNS = ["rlenv/PythonTool-v0", "rlenv/SearchQA-v0", "rlenv/Wordle-v0"]
# tests/environments/code has their checks
PROGRAMS = ["rlenv/Code-v0", "rlenv/CodeRepair-v0", "rlenv/HumanEval-v0", "rlenv/MBPP-v0"]
# judged by models, which tests/environments has
JUDGED = ["rlenv/Judge-v0", "rlenv/RewardModel-v0"]
FAMILIES = [name for name in rlenv.registered() if name.startswith("rlenv/reasoning_gym/")]
# a task of these takes so long to make that their checks run with the slow tests
LONG = {
    "advanced_geometry",
    "futoshiki",
    "game_of_life",
    "polynomial_equations",
    "puzzle24",
    "quantum_lock",
    "rearc",
    "rubiks_cube",
    "sokoban",
    "sudoku",
    "zebra_puzzles",
}
BRIEF = CheckSettings(tasks=4, draws=60, seconds=3, processes=1)


def is_long(name):
    return name.rpartition("/")[2].removesuffix("-v0") in LONG


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in PLAIN),
        ("rlenv/Mix-v0", MIXED),
        ("rlenv/MathWord-v0", {"rows": QUESTIONS}),
    ],
)
def test_bundled_environments_pass(name, options):
    outcomes = run(name, options, settings=FEW)
    assert not failures(outcomes), failures(outcomes)
    assert [outcome.check for outcome in outcomes] == list(CHECKS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if is_long(n) else ()) for n in FAMILIES],
)
def test_families_of_reasoning_gym_pass(name):
    pytest.importorskip("reasoning_gym", reason="the extra reasoning-gym is not installed")
    # a family may have few tasks at its easiest; that is reasoning-gym's to decide
    outcomes = run(name, settings=BRIEF, skip=[*SLOW, "held-out tasks"])
    assert not failures(outcomes), failures(outcomes)


@pytest.mark.parametrize("name", SEVERAL_TURNS)
def test_environments_of_several_turns_pass(name):
    outcomes = run(name, settings=BRIEF, skip=SLOW)
    assert not failures(outcomes), failures(outcomes)


@needs_gsm8k
def test_gsm8k_passes():
    outcomes = run("rlenv/GSM8K-v0", {"source": str(GSM8K)}, settings=BRIEF, skip=SLOW)
    assert not failures(outcomes), failures(outcomes)


def test_every_bundled_environment_is_among_these():
    bundled = {name for name in rlenv.registered() if name.startswith("rlenv/")}
    assert bundled == {*PLAIN, *SEVERAL_TURNS, *MADE_OF_OTHERS, *PROGRAMS, *JUDGED, *FAMILIES}


@pytest.mark.parametrize("level", [2, 3, 6])
def test_levels_of_arithmetic_pass(level):
    assert not failures(run("rlenv/Arithmetic-v0", {"level": level}, FEW, skip=SLOW))


@pytest.mark.parametrize("level", [1, 4, 6])
@pytest.mark.parametrize("instructions", [True, False])
def test_levels_of_countdown_pass(level, instructions):
    options = {"level": level, "instructions": instructions, "use_all": level == 4}
    assert not failures(run("rlenv/Countdown-v0", options, FEW, skip=SLOW))


@pytest.mark.parametrize("name", ["Sum", "Approach", "Copy", "Labelled", "NamedWorlds"])
def test_sound_environments_pass(name):
    skip = SLOW if name != "Approach" else ["speed"]
    outcomes = run(f"{FILE}:{name}-v0", settings=FEW, skip=skip)
    assert not failures(outcomes), failures(outcomes)
    assert {o.check for o in outcomes if o.status == "skipped"} == set(skip)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_environments_fail_for_the_right_reason(name):
    which, says = BROKEN[name]
    failed = failures(run(f"{FILE}:{name}-v0", settings=FEW, skip=SLOW))
    assert set(failed) == {which}, failed
    assert says in failed[which].detail
    assert failed[which].fix


def test_an_order_that_depends_on_the_hash_seed_fails():
    failed = failures(run(f"{FILE}:HashOrder-v0", settings=FEW, skip=["speed"]))
    assert set(failed) == {"across processes"}
    assert "PYTHONHASHSEED" in failed["across processes"].detail


def test_every_check_has_a_broken_environment():
    covered = {which for which, _ in BROKEN.values()} | {"across processes", "speed"}
    assert covered == set(CHECKS)


def test_absurd_slowness_fails(monkeypatch):
    monkeypatch.setattr(speed, "ABSURD", float("inf"))
    others = [name for name in CHECKS if name != "speed"]
    failed = failures(run(f"{FILE}:Sum-v0", settings=FEW, skip=others))
    assert set(failed) == {"speed"}


def test_a_grader_that_hangs_fails(monkeypatch):
    monkeypatch.setattr(env_under_test, "HANG", 3.0)
    failed = failures(run(f"{FILE}:Hangs-v0", settings=FEW, skip=SLOW))
    assert set(failed) == {"worthless replies"}
    assert "more than 3 s" in failed["worthless replies"].detail


def test_what_can_not_begin_fails_once():
    outcomes = run(f"{FILE}:NoStart-v0", settings=FEW)
    assert set(failures(outcomes)) == {"gymnasium"}
    assert "a bug" in outcomes[0].detail
    assert all(outcome.status == "skipped" for outcome in outcomes[1:])


def test_what_needs_a_failed_check_is_skipped():
    outcomes = {o.check: o for o in run(f"{FILE}:Moody-v0", settings=FEW)}
    assert outcomes["across processes"].status == "skipped"
    assert "determinism" in outcomes["across processes"].detail


def test_leaves_the_global_generators_as_they_were():
    python, array = random.getstate(), np.random.get_state()[1]
    run(f"{FILE}:Sum-v0", settings=FEW, skip=SLOW)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == array).all()


QUICK = ["--tasks", "30", "--draws", "3000", "--skip", "across processes", "--skip", "speed"]


def test_the_command_prints_a_table_with_a_fix(capsys):
    assert main.main(["check", f"{FILE}:Palindromes-v0", *QUICK]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("gold reply ok", "gaming FAIL", "fix: leave", "1 of 14 checks failed, 2 skipped"):
        assert words in printed


def test_the_command_as_json(capsys):
    assert check.main(["rlenv/Arithmetic-v0", "--option", "level=4", "--json", *QUICK]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["failed"] == 0
    assert printed["options"] == {"level": 4}
    assert [c["check"] for c in printed["checks"]] == list(CHECKS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rlenv/Arithmetics-v0"], "rlenv/Arithmetic-v0"),
        (["nowhere.py:X-v0"], "does not exist"),
        (["rlenv/Arithmetic-v0", "--option", "level=77"], "level is 1 to 6"),
        (["rlenv/Arithmetic-v0", "--option", "lvl=1"], "no option 'lvl'"),
        (["rlenv/Arithmetic-v0", "--tasks", "0"], "--tasks is at least 1"),
        (["rlenv/Arithmetic-v0", "--seconds", "0"], "--seconds is above 0"),
        (["rlenv/Arithmetic-v0", "--skip", "gamin"], "Did you mean gaming"),
        (["{tmp}/bad.py:X-v0"], "SyntaxError"),
    ],
)
def test_bad_input_ends_in_one_sentence(arguments, says, capsys, tmp_path):
    (tmp_path / "bad.py").write_text("def broken(:\n")
    assert check.main([a.format(tmp=tmp_path) for a in arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert says in errors
