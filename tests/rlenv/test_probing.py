"""Policies that cheat in known ways are caught, and one that doesn't is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv import parsing
from rlenv.cli import main
from rlenv.engines.base import Sampling
from rlenv.evaluation import evaluate
from rlenv.evaluation.players import Played
from rlenv.evaluation.probing import probe, without_answer
from rlenv.rollouts.rollout import EnvPool


class Sums(rlenv.SingleTurnEnv):
    """Sums, with a verifier that can be chosen."""

    lenient = False
    pays_form = False

    def generate(self, rng):
        a, b = rng.randrange(1000), rng.randrange(1000)
        return rlenv.Task(f"{a} + {b} = ?", answer=a + b)

    def score(self, task, reply):
        if self.lenient:  # as lenient as a substring
            return str(task.answer) in reply
        right = str(parsing.integer(reply)) == str(task.answer)
        return max(float(right), 0.5 * ("=" in reply) if self.pays_form else 0.0)

    def answer_in(self, task, reply):
        number = parsing.integer(reply)
        return None if number is None else str(number)

    def audit(self, task, reply):
        return reply.split()[-1] == str(task.answer) if "audit me" in reply else None


class Lenient(Sums):
    lenient = True


class Formal(Sums):
    pays_form = True


class Cheat:
    """A player that replies what a function of the task makes of it."""

    batch_size = 64

    def __init__(self, reply):
        self.reply = reply

    def play(self, pool, tasks, samples, sampling, seed):
        env = pool.take(1)[0]
        groups = []
        for task in tasks:
            env.reset(seed=0, options={"task": task})
            info = env.step(self.reply(task))[4]
            groups.append([Played(info["messages"], 1, info["reward"], False, 1, 1)] * samples)
        return groups


def probed(kind, reply, stricter=None, tasks=30):
    def make():
        return kind(split="test")

    player = Cheat(reply)
    result = evaluate(
        EnvPool(make), player, tasks=tasks, samples=2, sampling=Sampling(), seed=0, greedy=False
    )
    env = make()
    return probe(env, env.tasks.distinct(tasks), result.kept, stricter=stricter)


def test_an_honest_policy_has_no_suspects():
    found = probed(Sums, lambda task: f"The answer is {task.answer}")
    assert (found.samples, found.solved, found.suspects) == (60, 60, [])
    assert found.honest == found.pass_at_1
    assert set(found.failed) == {"elsewhere", "form"}


def test_an_answer_to_everything_is_caught():
    everything = " ".join(map(str, range(2000)))
    found = probed(Lenient, lambda task: everything)
    assert found.pass_at_1.value == 1.0
    assert found.honest.value == 0.0
    assert found.failed["elsewhere"].value == 1.0
    assert "also solves" in found.suspects[0].why


def test_a_stricter_verifier_disagrees():
    def hedge(task):
        return f"{task.answer} or {task.answer + 1}"

    found = probed(Lenient, hedge, stricter=Sums(split="test"))
    assert found.failed["stricter"].value == 1.0
    assert found.honest.value == 0.0


def test_a_reward_for_the_form_is_caught():
    found = probed(Formal, lambda task: f"x = {task.answer}")
    assert found.failed["form"].value == 1.0
    assert "earns 0.5 without its answer" in found.suspects[0].why


def test_the_environments_own_audit_is_asked():
    found = probed(Lenient, lambda task: f"audit me {task.answer} 0")
    assert found.failed["audit"].value == 1.0
    found = probed(Lenient, lambda task: f"audit me {task.answer}")
    assert found.failed["audit"].value == 0.0


def test_a_policy_that_solves_nothing_earns_nothing_wrongly():
    found = probed(Sums, lambda task: "no idea")
    assert (found.solved, found.suspects, found.failed) == (0, [], {})
    assert found.honest.value == 0.0


@given(st.integers(0, 10**9))
def test_taking_an_answer_out_leaves_the_form(number):
    assert without_answer(f"<answer>{number}</answer> **x**", str(number)) == (
        "<answer></answer> **x**"
    )
    assert str(number) not in without_answer(f"so {number}.", str(number))


def test_the_command(finished_run, capsys, tmp_path):
    command = ["probe", str(finished_run / "sft"), "rlenv/Arithmetic-v0", "--tasks", "5"]
    command += ["--samples", "1", "--max-tokens", "4", "--output", str(tmp_path / "kept")]
    assert main.main(command) == 0
    assert "pass@1 without suspects" in capsys.readouterr().out
    assert main.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 5
    assert main.main([*command, "--stricter", "rubric=5"]) == 2
    assert "no components" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--split", "train"], ["--tasks", "0"]])
def test_bad_input_ends_in_one_sentence(finished_run, capsys, arguments):
    assert main.main(["probe", str(finished_run / "sft"), "rlenv/Arithmetic-v0", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
