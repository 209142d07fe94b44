import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv.cli import eval as evaluation
from rlenv.cli import main
from rlenv.evaluation import paired_test
from rlenv.evaluation.paired_test import compare_samples, swapping_test
from rlenv.evaluation.plan import judging_files
from rlenv.evaluation.samples import read_samples
from tests.rlenv.test_samples import sample

FEW = ["--tasks", "10", "--samples", "2", "--max-tokens", "4"]


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=9))
def test_the_swapping_test_tries_all_signs(differences):
    observed = abs(sum(differences))
    everything = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed - 1e-9
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    assert swapping_test(differences) == pytest.approx(np.mean(everything))


def test_random_signs_agree_with_all_signs(monkeypatch):
    differences = [1.0, 1.0, 1.0, 1.0, -1.0, 0.5, 1.0, -0.5, 1.0, 1.0, 0.25, 1.0]
    exact = swapping_test(differences)
    monkeypatch.setattr(paired_test, "_EXACT", 3)
    assert swapping_test(differences) == pytest.approx(exact, abs=0.01)


def test_a_pair_of_equal_models_is_rarely_called_different():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        rates = rng.random(40)
        a, b = (answers(rng.random((40, 2)) < rates[:, None]) for _ in range(2))
        wrong += compare_samples(a, b).real
    assert wrong / 200 <= 0.07


def test_pairing_finds_what_two_intervals_overlap_on():
    rng = np.random.default_rng(1)
    hard = rng.random(300) < 0.5
    better = hard | (rng.random(300) < 0.06)
    found = compare_samples(answers(hard[:, None]), answers(better[:, None]))
    assert found.real
    assert found.difference.low > 0
    assert "better" in found.sentence()
    assert len(found.gained) == (better & ~hard).sum()
    assert not found.lost
    backwards = compare_samples(answers(better[:, None]), answers(hard[:, None]))
    assert "worse" in backwards.sentence()


def test_what_was_not_judged_is_no_difference():
    a = answers(np.array([[True], [True]]))
    b = [a[0], sample(task_key="1", status="grader_error", value=float("nan"), solved=False)]
    found = compare_samples(a, b)
    assert (found.tasks, found.left_out, found.difference.value) == (1, 1, 0.0)
    assert not found.real


def answers(right):
    """Samples from (tasks, samples) verdicts."""
    return [
        sample(task_key=str(task), index=task, number=n, solved=bool(x), value=float(x))
        for task, row in enumerate(right)
        for n, x in enumerate(row)
    ]


VERIFIER = """
import rlenv
@rlenv.register("demo/Copy-v0", max_turns=2)
class Copy(rlenv.TextEnv):
    def generate(self, rng):
        return rlenv.Task(str(rng.randrange(10000)))
    def start(self, task):
        self.said = 0
    def respond(self, task, reply):
        self.said += 1
        if self.said == 2 or TURNS == 1:
            return rlenv.done("", VERDICT)
        return "ANSWER"
"""


@pytest.fixture
def evaluated(finished_run, tmp_path, capsys):
    """Evaluate on an environment of some turns; returns its file and the evaluation's folder."""

    def run(turns):
        path = tmp_path / f"{tmp_path.name}.py"  # a module name of its own
        write(path, turns)
        out = tmp_path / "kept"
        command = [str(finished_run / "sft"), f"{path}:Copy-v0", *FEW, "--output", str(out)]
        assert evaluation.main(command) == 0
        capsys.readouterr()
        return path, out

    return run


def write(path, turns, verdict="float(len(reply) % 2)", answer="Go on."):
    text = VERIFIER.replace("TURNS", str(turns)).replace("VERDICT", verdict)
    path.write_text(text.replace("ANSWER", answer))


def forget(monkeypatch, path):
    """Let the next command read the file again, as a new process would."""
    import sys

    sys.modules.pop(f"_rlenv_file_{path.stem}", None)


@pytest.mark.parametrize("turns", [1, 2])
def test_the_same_verifier_gives_the_same_verdicts(evaluated, capsys, turns):
    _, out = evaluated(turns)
    assert main.main(["rescore", str(out)]) == 0
    assert "0 of 30 verdicts changed" in capsys.readouterr().out
    again = out.with_name("kept-rescored")
    assert read_samples(again / "samples.parquet") == read_samples(out / "samples.parquet")
    result = json.loads((again / "result.json").read_text())
    assert result["rescored"]["from"] == str(out)


def test_another_verifier_gives_other_verdicts(evaluated, capsys, monkeypatch):
    path, out = evaluated(1)
    before = read_samples(out / "samples.parquet")
    old = json.loads((out / "result.json").read_text())
    write(path, 1, "rlenv.Reward(1.0 - len(reply) % 2, {'even': 1.0})")
    forget(monkeypatch, path)
    assert main.main(["rescore", str(out)]) == 0
    assert "30 of 30 verdicts changed" in capsys.readouterr().out
    after = read_samples(out.with_name("kept-rescored") / "samples.parquet")
    assert [s.value for s in after] == [1 - s.value for s in before]
    assert after[0].components == {"even": 1.0}
    result = json.loads((out.with_name("kept-rescored") / "result.json").read_text())
    assert result["env_version"] != old["env_version"]
    assert result["pass_at_1"] == pytest.approx(1 - old["pass_at_1"])

    assert main.main(["compare", str(out), str(out.with_name("kept-rescored")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"]["value"] == pytest.approx(1 - 2 * old["pass_at_1"])


def test_an_environment_that_answers_otherwise_leaves_no_verdict(evaluated, capsys, monkeypatch):
    path, out = evaluated(2)
    write(path, 2, answer="Stop.")
    forget(monkeypatch, path)
    assert main.main(["rescore", str(out)]) == 1
    assert "answers differently" in capsys.readouterr().err


def test_tasks_that_changed_are_refused(evaluated, capsys, monkeypatch):
    path, out = evaluated(1)
    path.write_text(path.read_text().replace("10000", "9000"))
    forget(monkeypatch, path)
    assert main.main(["rescore", str(out)]) == 2
    assert "its tasks changed" in capsys.readouterr().err


def test_compare_refuses_what_is_not_comparable(evaluated, finished_run, capsys, tmp_path):
    _, out = evaluated(1)
    other = tmp_path / "other"
    run = [str(finished_run / "sft"), "rlenv/Arithmetic-v0", *FEW, "--output", str(other)]
    assert evaluation.main(run) == 0
    assert main.main(["compare", str(out), str(other)]) == 2
    assert "not of the same tasks" in capsys.readouterr().err
    assert main.main(["compare", str(out), str(tmp_path / "nowhere")]) == 2
    assert (
        "nowhere does not exist; give the folder that python -m rlenv.eval wrote"
        in capsys.readouterr().err
    )


def test_the_version_of_a_bundled_environment_is_of_what_judges_it():
    root, files = judging_files(type(rlenv.make("rlenv/Arithmetic-v0")))
    names = {path.relative_to(root).as_posix() for path in files}
    assert "environments/arithmetic.py" in names
    assert {name.partition("/")[0] for name in names} == {"environments", "parsing", "sandbox"}


def test_the_version_of_an_environment_in_a_file_is_of_that_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import rlenv\n"
        "@rlenv.register('demo/Mine-v0')\n"
        "class Mine(rlenv.SingleTurnEnv):\n"
        "    def generate(self, rng): return rlenv.Task(str(rng.random()), answer='1')\n"
        "    def score(self, task, reply): return 1.0\n"
    )
    root, files = judging_files(type(rlenv.make(f"{path}:demo/Mine-v0")))
    assert (root, files) == (tmp_path, [path])
