"""The environment that a judge model grades."""

import pytest

import rlenv
from rlenv.common.errors import UserError
from rlenv.engines.chat import ChatReply
from rlenv.environments import judge as judge_module

ROWS = [{"prompt": f"Greet person {n}.", "answer": "please, hello"} for n in range(600)]


class Stub:
    """Grades by whether a reply holds a word; asked for 'broken' it gives no verdict."""

    def __init__(self):
        self.batches = []

    def reply(self, conversations, seed):
        self.batches.append(len(conversations))
        said = []
        for messages in conversations:
            reply = messages[-1]["content"].split("<reply>")[1].split("</reply>")[0]
            verdict = 5 if "please" in reply else 1
            said.append(ChatReply("hm" if "broken" in reply else f"<verdict>{verdict}</verdict>"))
        return said


@pytest.fixture
def stub(monkeypatch):
    made = Stub()
    judge_module._grader.cache_clear()
    monkeypatch.setattr(judge_module, "load_chat_model", lambda settings: made)
    yield made
    judge_module._grader.cache_clear()


def make(**options):
    return rlenv.make(
        "rlenv/Judge-v0",
        **{"rubric": "Is it polite?", "judge": "m", "scale": (1, 5), "rows": ROWS, **options},
    )


def test_the_reward_is_the_grade(stub):
    env = make()
    env.reset(seed=0)
    _, value, terminated, _, info = env.step("please, good day")
    assert (value, terminated, info["reward"].components) == (1.0, True, {"judge": 1.0})
    env.reset(seed=0)
    assert env.step("what?")[1] == 0.0


def test_a_malformed_verdict_is_a_grader_error(stub):
    env = make()
    env.reset(seed=0)
    reward = env.step("broken")[4]["reward"]
    assert reward.status == "grader_error"
    assert "no verdict" in reward.detail
    assert stub.batches == [1, 1]  # it was asked again


def test_what_was_announced_is_graded_at_once(stub):
    envs = [make() for _ in range(6)]
    for number, env in enumerate(envs):
        env.reset(seed=number)
        env.announce(f"please {number}")
    assert [env.step(f"please {n}")[1] for n, env in enumerate(envs)] == [1.0] * 6
    assert stub.batches == [6]


def test_a_rule_beside_it(stub):
    env = make(rows=None, base="rlenv/Arithmetic-v0", rule=0.5)
    env.reset(seed=0)
    right = env.demonstrate(env.task, env.task.prompt)
    _, value, _, _, info = env.step(right)
    assert value == 0.5
    assert info["reward"].components == {"judge": 0.0, "rule": 1.0}
    assert env.solved_at == 1.5


def test_the_check_passes(stub):
    from rlenv import conformance

    settings = conformance.CheckSettings(tasks=2, draws=100, seconds=1.0)
    options = {"rubric": "Is it polite?", "judge": "m", "scale": [1, 5], "rows": ROWS}
    skipped = ("across processes",)  # the stub lives in this process alone
    outcomes = conformance.run("rlenv/Judge-v0", options, settings, skip=skipped)
    assert [o for o in outcomes if o.status == "fail"] == []


def test_what_it_refuses():
    for options, message in (
        ({"rubric": None}, "needs option rubric"),
        ({"judge": None}, "needs option judge"),
        ({"scale": (5, 5)}, "the lowest and the highest grade"),
        ({"judge": {"model": "m", "temprature": 1}}, "Did you mean temperature"),
        ({"base": "rlenv/Arithmetic-v0"}, "one of the options rows and base"),
    ):
        with pytest.raises(UserError, match=message):
            make(**options)
