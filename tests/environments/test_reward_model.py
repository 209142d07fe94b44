"""The environment of a learned reward: its scores, its batches, its checks, what it refuses."""

import json
import random

import pytest
import torch

import rlenv
from rlenv.common.errors import UserError
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.models.reward_model import RewardModel
from rlenv.models.tokenizer import character_tokenizer

ROWS = [
    {"prompt": f"Add {n} and {m}, politely.", "chosen": f"please, {n + m}", "rejected": f"no {m}"}
    for n in range(12)
    for m in range(9)
]


def save_scorer(folder, nano, tokenizer, seed=0):
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(seed)
    config = LlamaConfig(**nano.config.to_diff_dict(), num_labels=1)
    checkpoint.save(LlamaForSequenceClassification(config), tokenizer, folder)
    return str(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory, nano, tokenizer):
    """Two reward models with random weights, which is all that an environment needs."""
    folder = tmp_path_factory.mktemp("reward")
    return [save_scorer(folder / f"{n}", nano, tokenizer, n) for n in range(2)]


def make(models, **options):
    return rlenv.make("rlenv/RewardModel-v0", **{"model": models[0], "rows": ROWS, **options})


def score_of(model, messages, reply):
    """One conversation alone, by the model of transformers itself."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    chat = ChatFormat(AutoTokenizer.from_pretrained(model))
    ids = chat.solved(messages, reply)[0]
    with torch.no_grad():
        scorer = AutoModelForSequenceClassification.from_pretrained(model).eval()
        return scorer(torch.tensor([ids])).logits[0, 0].item()


def test_the_reward_is_the_score_less_that_of_the_reference(models):
    env = make(models)
    _, info = env.reset(seed=3)
    prompt, answer = info["messages"], env.task.answer
    _, value, terminated, _, info = env.step("whatever")
    mine, theirs = (score_of(models[0], prompt, reply) for reply in ("whatever", answer))
    assert terminated
    assert value == pytest.approx(mine - theirs, abs=3e-4)
    assert info["reward"].components["model"] == pytest.approx(mine, abs=2e-4)
    env.reset(options={"task": env.task})
    assert env.step(answer)[1] == 0.0 == env.solved_at


def test_without_a_reference_it_is_the_score(models):
    env = make(models, rows=[{"prompt": f"Say {n}."} for n in range(40)])
    _, info = env.reset(seed=1)
    assert env.step("a")[1] == pytest.approx(score_of(models[0], info["messages"], "a"), abs=2e-4)


@pytest.mark.parametrize("combine", ["mean", "lowest", "cautious"])
def test_ensembles(models, combine):
    env = make(models, model=models, combine=combine, relative=False)
    _, info = env.reset(seed=5)
    value = env.step("yes")[1]
    scores = torch.tensor([score_of(model, info["messages"], "yes") for model in models])
    expected = {
        "mean": scores.mean(),
        "lowest": scores.min(),
        "cautious": scores.mean() - scores.std(),
    }
    assert value == pytest.approx(expected[combine].item(), abs=3e-4)


def test_what_was_announced_is_scored_at_once(models, monkeypatch):
    envs = [make(models) for _ in range(8)]
    sizes = []
    real = RewardModel.scores

    def counted(self, sequences):
        sizes.append(len(sequences))
        return real(self, sequences)

    monkeypatch.setattr(RewardModel, "scores", counted)
    alone = make(models)
    rng = random.Random(0)
    tasks = [alone.tasks.sample(rng) for _ in envs]
    for number, (env, task) in enumerate(zip(envs, tasks, strict=True)):
        env.reset(seed=0, options={"task": task})
        env.announce(f"batched {number}")
    together = [env.step(f"batched {number}")[1] for number, env in enumerate(envs)]
    assert len(sizes) == 1
    assert sizes[0] > len(envs)  # the references too
    from rlenv.environments import reward_model

    reward_model._loaded.clear()
    for number, (task, value) in enumerate(zip(tasks, together, strict=True)):
        alone.reset(seed=0, options={"task": task})
        assert alone.step(f"batched {number}")[1] == pytest.approx(value, abs=3e-4)


def test_a_verified_reward_beside_it(models):
    base = {"id": "rlenv/Arithmetic-v0"}
    env = make(models, rows=None, base=base, rule=2.0)
    env.reset(seed=2)
    right = env.demonstrate(env.task, env.task.prompt)
    _, value, _, _, info = env.step(right)
    assert info["reward"].components["rule"] == 1.0
    assert value == 2.0 == env.solved_at
    env.reset(options={"task": env.task})
    _, value, _, _, info = env.step("no idea")
    assert info["reward"].components["rule"] == 0.0


def test_tasks_are_split_as_the_pairs_of_a_reward_stage(models):
    from rlenv.data.preferences import read

    pairs = read(ROWS)
    for split in ("train", "validation", "test"):
        keys = {task.key for task in make(models, split=split).tasks}
        assert keys == {pair.task.key for pair in pairs.of(split)}


def test_a_ranking_s_best_reply_is_the_reference(models):
    rows = [
        {"prompt": f"Rank {n}.", "replies": ["b", "a", "c"], "ranks": [2, 1, 3]} for n in range(40)
    ]
    assert {task.answer for task in make(models, rows=rows).tasks} == {"a"}


def test_the_check_passes(models, tmp_path):
    from rlenv import conformance

    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS))
    settings = conformance.CheckSettings(tasks=2, draws=100, seconds=1.0, processes=1)
    options = {"model": models[0], "rows": str(path)}
    outcomes = conformance.run("rlenv/RewardModel-v0", options, settings, skip=["held-out tasks"])
    assert [o for o in outcomes if o.status == "fail"] == []
    assert {"determinism", "groups", "gold reply", "picklable"} <= {
        o.check for o in outcomes if o.status == "ok"
    }


def test_what_it_refuses(models, nano, tokenizer, tmp_path):
    plain = tmp_path / "plain"
    checkpoint.save(nano, tokenizer, plain)
    with pytest.raises(UserError, match=r"has no head for a score .it is a LlamaForCausalLM"):
        make(models, model=str(plain))
    with pytest.raises(UserError, match="needs option model"):
        rlenv.make("rlenv/RewardModel-v0", rows=ROWS)
    with pytest.raises(UserError, match="one of the options rows and base"):
        make(models, rows=None)
    with pytest.raises(UserError, match="has several turns"):
        make(models, rows=None, base="rlenv/Wordle-v0")
    other = character_tokenizer(["abcdefgh", "abcdefgh"], max_length=256)
    with pytest.raises(UserError, match="has another vocabulary than"):
        make(models).meet(ChatFormat(other, "the policy"))
    strange = save_scorer(tmp_path / "strange", nano, other)
    with pytest.raises(UserError, match="has another vocabulary than"):
        RewardModel.load([models[0], strange])
