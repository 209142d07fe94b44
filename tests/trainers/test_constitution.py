"""Constitutional AI: principles, revisions, and pairs that a judge chose."""

import json
import random

import pytest

import rlenv
from rlenv.common.errors import UserError
from rlenv.common.files import read_lines
from rlenv.core.reward import Reward
from rlenv.core.trajectory import Group, Trajectory
from rlenv.engines.chat import ChatReply
from rlenv.judges.judge import Judge
from rlenv.trainers.preference import data, rlaif
from rlenv.trainers.preference.constitution import principles
from rlenv.trainers.preference.constitution.revise import revise

ASKED = [{"role": "user", "content": "Say hello."}]


class Scripted:
    """Says what a function makes of a conversation."""

    def __init__(self, function):
        self.function = function
        self.heard = []

    def reply(self, conversations, seed):
        self.heard += [list(messages) for messages in conversations]
        return [ChatReply(self.function(messages)) for messages in conversations]


def test_the_bundled_constitution_is_whole():
    found = principles.load(None).principles
    assert len(found) >= 8
    for principle in found:
        assert principle.text in principle.asks_critique
        assert "{text}" not in principle.asks_critique + principle.asks_revision


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("principles: []", "at least 1 item"),
        ("principles: [{name: a, text: x}, {name: a, text: y}]", "the same name"),
        ("principles: [{name: a, txt: x}]", "Did you mean text"),
    ],
)
def test_what_is_no_constitution(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        principles.load(str(path))


def test_revisions_follow_the_conversation():
    """Reply, critique by a principle, revision; the next round criticises the revision."""
    constitution = principles.load(None)
    policy = Scripted(lambda messages: "rude")

    def critic_says(messages):
        last = messages[-1]["content"]
        asks = any(last == p.asks_critique for p in constitution.principles)
        return "it is rude" if asks else f"{messages[-4]['content']}, revised"

    critic = Scripted(critic_says)
    (one,) = revise([ASKED], policy, critic, constitution, rounds=2, seed=0)
    assert one.replies == ["rude", "rude, revised", "rude, revised, revised"]
    assert one.critiques == ["it is rude"] * 2
    drawn = random.Random("constitution/0")
    assert one.principles == [constitution.draw(drawn).name for _ in range(2)]
    assert not one.problem
    # the critic of the second round sees the first revision, not the first reply
    assert [m["content"] for m in critic.heard[2][:2]] == ["Say hello.", "rude, revised"]


def test_a_reply_that_is_cut_off_is_no_revision():
    class Cut(Scripted):
        def reply(self, conversations, seed):
            return [ChatReply("and then", "cut off") for _ in conversations]

    policy = Scripted(lambda messages: "rude")
    (one,) = revise([ASKED], policy, Cut(None), principles.load(None), rounds=1, seed=0)
    assert one.problem == "the critique cut off"


def rollout(task, reply, truncated=False):
    return Trajectory(
        task,
        [1, 2, 3, 4 + len(reply)],
        [0, 0, 1, 1],
        [0.0] * 4,
        turn_ends=[4],
        reward=Reward(0.0),
        messages=[*task.prompt, {"role": "assistant", "content": reply}],
        truncated=truncated,
    )


def test_pairs_that_a_judge_chose():
    """It prefers please; it is unsure of two alike, and says nothing of what is odd."""

    def says(messages):
        a, b = messages[-1]["content"].split("<reply-b>")
        if "odd" in a:
            return "hm"
        better = ["please" in a.split("<reply-a>")[1], "please" in b]
        return (
            f"<verdict>{'tie' if better[0] == better[1] else 'A' if better[0] else 'B'}</verdict>"
        )

    replies = [("please", "no"), ("no", "please"), ("no", "nah"), ("odd", "please"), ("x", "y")]
    groups = []
    for number, (one, other) in enumerate(replies):
        task = rlenv.Task(f"question {number}")
        groups.append(Group(task, [rollout(task, one), rollout(task, other, truncated=one == "x")]))
    found = rlaif.by_judge(groups, Judge(Scripted(says)), principles.load(None), seed=0)
    assert [(p.chosen, p.rejected) for p in found.pairs] == [("please", "no")] * 2
    assert found.pairs[0].ids == ([1, 2], [3, 10], [3, 6])
    assert found.problems == {
        "ties": 1,
        "without a verdict of the judge": 1,
        "with a reply that was cut off": 1,
    }


@pytest.fixture
def greeting(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"prompt": f"Greet {n}."} for n in range(60)]))
    return {"id": "rlenv/Judge-v0", "rubric": "polite?", "judge": "nobody", "rows": str(path)}


@pytest.mark.usefixtures("always_please")
def test_the_stage_learns_the_revisions(run_config, greeting):
    stage = {"prompts": 24, "rounds": 1, "max_tokens": 8, "batch_size": 8, "epochs": 8}
    critic = {"model": "m", "url": "http://nowhere/v1"}
    run = run_config({"revise": {**stage, "critic": critic, "warmup_steps": 1}}, greeting)
    lines = list(read_lines(run / "metrics.jsonl"))
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    kept = list(read_lines(run / "revise" / "revisions.jsonl"))
    assert len(kept) == 24
    assert {one["replies"][-1] for one in kept} == {"please"}


@pytest.mark.usefixtures("always_please")
def test_a_judge_s_choices_feed_dpo(run_config, greeting, monkeypatch):
    # longer is better, in whatever place
    def longer(messages):
        a, b = messages[-1]["content"].split("<reply-b>")
        a, b = a.split("<reply-a>")[1], b.split("</reply-b>")[0]
        verdict = "tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B"
        return f"<verdict>{verdict}</verdict>"

    monkeypatch.setattr(data, "load_chat_model", lambda settings: Scripted(longer))
    sample = {
        "tasks": 40,
        "held_out": 4,
        "max_tokens": 200,
        "judge": {"model": "m", "url": "http://x"},
    }
    run = run_config({"dpo": {"data": {"sample": sample}, "batch_size": 8}}, greeting)
    record = json.loads((run / "dpo" / "preferences.json").read_text())
    assert record["train"] > 0


@pytest.fixture
def always_please(monkeypatch):
    from rlenv.trainers.preference.constitution import revise as module

    monkeypatch.setattr(
        module, "load_chat_model", lambda settings: Scripted(lambda messages: "please")
    )
    # the untrained policy's replies have no end
    monkeypatch.setattr(module, "LocalChatModel", lambda *_: Scripted(lambda messages: "rude"))


@pytest.fixture
def run_config(tmp_path, nano, tokenizer):
    import copy

    from rlenv.cli import train
    from rlenv.models import checkpoint

    checkpoint.save(copy.deepcopy(nano), tokenizer, tmp_path / "model")

    def run(stages, env):
        config = tmp_path / "config.yaml"
        raw = {
            "run_dir": str(tmp_path / "run"),
            "env": env,
            "model": str(tmp_path / "model"),
            "threads": 1,
            "stages": stages,
        }
        config.write_text(json.dumps(raw))
        assert train.main([str(config)]) == 0
        return tmp_path / "run"

    return run
