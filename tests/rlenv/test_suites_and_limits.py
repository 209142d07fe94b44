import json

import pytest

from rlenv.cli import eval as evaluation
from rlenv.common.errors import UserError
from rlenv.evaluation.limits import EvaluationLimits
from rlenv.evaluation.samples import read_samples
from rlenv.evaluation.suite import read_suite
from tests.rlenv.test_samples import sample

SUITE = """
samples: 2
max_tokens: 4
tasks: 5
environments:
  - rlenv/Arithmetic-v0
  - env: {id: rlenv/Arithmetic-v0, level: 3}
    name: products
    tasks: 3
    greedy: false
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    return path


def test_a_suite_is_evaluated(finished_run, suite, tmp_path, capsys):
    out = tmp_path / "out"
    command = [str(finished_run / "sft"), str(suite), "--json", "--output", str(out)]
    assert evaluation.main(command) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["tasks"], second["tasks"]) == (5, 3)
    assert (first["options"], second["options"]) == ({}, {"level": 3})
    assert second["greedy"] is None
    assert {p.name for p in out.iterdir()} == {"Arithmetic-v0-test", "products"}


def test_the_command_line_comes_first(suite):
    first, second = read_suite(suite, {"tasks": 7, "temperature": 0.5})
    assert (first.tasks, second.tasks, second.temperature, second.samples) == (7, 7, 0.5, 2)


def test_entries_have_temperatures_and_dtypes_of_their_own(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(
        "environments: [{env: a/B-v0, temperature: 0, dtype: bfloat16, greedy: true}, a/B-v0]"
    )
    first, second = read_suite(path, {})
    assert (first.samples, first.greedy, first.dtype) == (1, False, "bfloat16")
    assert (second.samples, second.greedy, second.dtype) == (4, True, "model")


def test_samples_of_a_suite_at_temperature_0(suite):
    with pytest.raises(UserError, match="would be alike"):
        read_suite(suite, {"temperature": 0.0})
    plans = read_suite(suite, {"temperature": 0.0, "samples": 1})
    assert [(plan.samples, plan.greedy) for plan in plans] == [(1, False)] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("environments: []", "needs a list of environments"),
        ("tasks: 5", "needs a list of environments"),
        ("environments: [5]", r"environments\[0\] is neither"),
        ("environments: [{env: a/B-v0, taks: 5}]", "Did you mean tasks"),
        ("split: train\nenvironments: [a/B-v0]", "held-out"),
        ("environments: [{env: a/B-v0, samples: 0}]", "greater than or equal to 1"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_suite_that_is_wrong(tmp_path, text, says):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_suite(path, {})


def test_two_evaluations_of_one_name_are_refused(finished_run, tmp_path, capsys):
    command = [str(finished_run / "sft"), *["rlenv/Arithmetic-v0"] * 2]
    assert evaluation.main([*command, "--output", str(tmp_path / "out")]) == 2
    assert "give one another name" in capsys.readouterr().err


def test_a_limit_on_time():
    now = [0.0]
    reached = EvaluationLimits(minutes=2, clock=lambda: now[0]).watch([])
    assert reached([]) == ""
    now[0] = 120.0
    assert "2 minutes" in reached([])


def test_a_limit_on_cost_counts_what_this_command_spent():
    limits = EvaluationLimits(cost=3.0, price=(1.0, 2.0))
    million = sample(prompt_tokens=500_000, tokens=250_000)
    reached = limits.watch([million])
    assert reached([million]) == ""
    assert reached([million] * 3) == ""
    second = limits.watch([])  # the next evaluation of the same command
    assert second([]) == ""
    assert "cost, 3," in second([million])


def test_an_evaluation_ends_at_its_limit_and_goes_on_without_it(finished_run, tmp_path, capsys):
    command = [str(finished_run / "sft"), "rlenv/Arithmetic-v0", "--tasks", "6", "--samples", "2"]
    command += ["--max-tokens", "4", "--batch", "2", "--json", "--output", str(tmp_path / "out")]
    priced = [*command, "--price", "0", "1e6", "--max-cost"]
    assert evaluation.main([*priced, "12"]) == 0
    part = json.loads(capsys.readouterr().out)
    assert 0 < part["tasks"] < 6
    assert not part["complete"]
    assert "cost" in part["stopped"]
    assert evaluation.main([*priced, "1"]) == 0  # money goes to what is new, at least one batch
    capsys.readouterr()
    assert evaluation.main(command) == 0
    whole = json.loads(capsys.readouterr().out)
    assert (whole["tasks"], whole["complete"]) == (6, True)
    assert len(read_samples(tmp_path / "out/samples.parquet")) == 18


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-cost", "1"], "--price"),
        (["--max-minutes", "0"], "--max-minutes is above 0"),
        (["--concurrency", "0"], "--concurrency is at least 1"),
        (["--per-minute", "-1"], "--per-minute is above 0"),
    ],
)
def test_limits_that_are_wrong(finished_run, capsys, arguments, says):
    assert evaluation.main([str(finished_run / "sft"), "rlenv/Arithmetic-v0", *arguments]) == 2
    assert says in capsys.readouterr().err
