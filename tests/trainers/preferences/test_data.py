"""Pairs from an environment's groups and from two models, and the tokens they become."""

import copy
import json
import re
from dataclasses import replace

import pytest
from datasets import Dataset
from transformers import LlamaConfig, LlamaForSequenceClassification
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

import rlenv
from rlenv.common.errors import UserError
from rlenv.core.reward import Reward
from rlenv.core.trajectory import Group, Trajectory
from rlenv.data.preferences import Pair, Preferences, read
from rlenv.run.config import EnvSettings
from rlenv.trainers.preference import data, sampled, tokens
from rlenv.trainers.preference.data import PreferenceData, SampleSettings
from tests.conftest import DIGITS

from .conftest import labelled_rows, polite_rows

PROMPT = ({"role": "user", "content": "2 + 2 = ?"},)


def rollout(task, reply, value, chat, *, judged=True, truncated=False):
    prompt = chat.prompt(task.prompt)
    said = chat.solved(task.prompt, reply)[0][len(prompt) :]
    return Trajectory(
        task,
        prompt + said,
        [0] * len(prompt) + [1] * len(said),
        [0.0] * (len(prompt) + len(said)),
        turn_ends=[len(prompt) + len(said)],
        reward=Reward(value) if judged else Reward.failed("?"),
        messages=[*task.prompt, {"role": "assistant", "content": reply}],
        truncated=truncated,
    )


@pytest.fixture
def group(chat):
    def make(question, *played):
        task = rlenv.Task(question)
        rollouts = [
            rollout(task, reply, value, chat, judged=value is not None, truncated=reply == "cut")
            if value is not None
            else rollout(task, reply, 0.0, chat, judged=False)
            for reply, value in played
        ]
        return Group(task, rollouts)

    return make


def test_best_against_worst(group, chat):
    groups = [
        group("one", ("middling", 0.5), ("good", 1.0), ("bad", 0.2), ("lost", None)),
        group("two", ("all", 1.0), ("alike", 1.0)),
        group("three", ("alone", 1.0), ("lost", None)),
        group("four", ("cut", 1.0), ("cut", 0.0)),
    ]
    found = sampled.best_and_worst(groups)
    (pair,) = found.pairs
    assert (pair.chosen, pair.rejected) == ("good", "bad")
    assert pair.margin == pytest.approx(0.8)
    assert pair.task is groups[0].task
    assert found.problems == {
        "ties": 1,
        "without a verdict": 1,
        "with a reply that was cut off": 1,
    }
    made = tokens.tokenize(pair, chat)
    good, bad = groups[0].trajectories[1], groups[0].trajectories[2]
    assert made.prompt + made.chosen == good.token_ids
    assert made.prompt + made.rejected == bad.token_ids


def test_strong_against_weak(group):
    strong = [group("one", ("right", 1.0)), group("two", ("wrong", 0.0)), group("3", ("x", 0.0))]
    weak = [group("one", ("wrong", 0.0)), group("two", ("right", 1.0)), group("3", ("y", None))]
    found = sampled.strong_and_weak(strong, weak)
    assert [(p.chosen, p.rejected) for p in found.pairs] == [("right", "wrong"), ("x", "y")]
    assert found.problems == {"in which the weak model did better": 1}


def conversational(pairs):
    return Dataset.from_list(
        [
            {
                "prompt": list(p.prompt),
                "chosen": [{"role": "assistant", "content": p.chosen}],
                "rejected": [{"role": "assistant", "content": p.rejected}],
            }
            for p in pairs
        ]
    )


PAIRS = [Pair(PROMPT, "4", "five or so"), Pair(PROMPT, "It is 4.", "3")]


def test_our_tokens_are_those_that_trl_makes(nano, tokenizer, chat, tmp_path):
    """TRL's own preparation of the same pairs is the reference."""
    common = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "report_to": []}
    theirs = DPOTrainer(
        model=copy.deepcopy(nano),
        ref_model=None,
        args=DPOConfig(**common, precompute_ref_log_probs=True),
        train_dataset=conversational(PAIRS),
        processing_class=tokenizer,
    ).train_dataset
    made = [tokens.tokenize(pair, chat) for pair in PAIRS]
    ours = [tokens.for_dpo(one) for one in made]
    for row, reference in zip(ours, theirs, strict=True):
        assert row == {name: reference[name] for name in row}

    model = LlamaForSequenceClassification(LlamaConfig(**nano.config.to_diff_dict(), num_labels=1))
    theirs = RewardTrainer(
        model=model,
        args=RewardConfig(**common),
        train_dataset=conversational(PAIRS),
        processing_class=tokenizer,
    ).train_dataset
    ours = [tokens.for_reward(one) for one in made]
    for row, reference in zip(ours, theirs, strict=True):
        assert row == {name: reference[name] for name in row}


def test_what_is_too_long_is_counted(chat):
    found = Preferences()
    long = Pair(PROMPT, "x" * 300, "y")
    assert len(tokens.fitting(found, [*PAIRS, long], chat, 64)) == 2
    assert found.problems == {"that do not fit into 64 tokens": 1}


def test_a_stage_refuses_data_that_is_mostly_bad(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "q", "chosen": "a", "rejected": ""}\n' * 3)
    settings = PreferenceData(rows=str(path))
    with pytest.raises(UserError, match=r"100% of .* can't be used.*3 with an empty reply"):
        data.check(settings, EnvSettings(id="rlenv/Arithmetic-v0"))


def test_the_row_of_what_is_too_long_is_named(chat):
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "b" * 300 * (n > 1)} for n in range(4)]
    rows[1]["rejected"] = "c"
    rows[0]["rejected"] = "d"
    found = read(rows)
    tokens.fitting(found, found.pairs[::-1], chat, 64)
    assert found.examples == {"that do not fit into 64 tokens": 3}
    assert found.summary().startswith("2 pairs; left out: 2 that")


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.mark.parametrize("stage", ["dpo", "reward"])
def test_stages_that_compare_refuse_labelled_replies(stage, labelled, refused):
    assert refused({stage: {"data": {"rows": str(labelled)}}}) == (
        f"{labelled} holds replies that are labelled one by one (prompt, completion, label), which "
        "only the stage kto learns from; this stage needs pairs (prompt, chosen, rejected)"
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [{**row, "label": False} for row in labelled_rows(20)],
            "to train on are labelled false; both good and bad replies are needed",
        ),
        ([*labelled_rows(20), *polite_rows(20)], "holds both pairs and replies that are labelled"),
        (
            [*labelled_rows(20), *[{"prompt": "q", "completion": "a", "label": "?"}] * 10],
            "33% of replies of .*: 15 good replies and 5 bad ones; left out: 10 with a label that "
            r"is neither true nor false \(first in row 21\)",
        ),
        (
            [{**row, "completion": row["completion"] * 99} for row in labelled_rows(20)],
            r"100% of replies of .*: 0 good replies and 0 bad ones; left out: 20 that do not fit",
        ),
    ],
)
def test_labelled_replies_that_kto_refuses(rows, reason, tmp_path, refused):
    path = write(tmp_path / "rows.jsonl", rows)
    assert re.search(reason, refused({"kto": {"data": {"rows": path}}}))


def test_kto_refuses_batches_of_one(labelled, refused):
    stage = {"data": {"rows": str(labelled)}, "batch_size": 4, "accumulate": 4}
    assert "two rows or more in a forward pass" in refused({"kto": stage})


def test_an_order_of_the_training_pairs_follows_from_the_seed():
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "b"} for n in range(50)]
    found = read(rows)
    settings = PreferenceData(rows="x.jsonl", most=10)
    first = data.drawn_from(found.of("train"), settings, 1)
    assert first == data.drawn_from(found.of("train"), settings, 1)
    assert first != data.drawn_from(found.of("train"), settings, 2)
    assert len(first) == 10
    assert all(pair.split == "train" for pair in first)


def test_pairs_sampled_in_an_environment(context, finished_run):
    """Training pairs come from tasks of the train split, the held-out ones from others."""
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    model, tokenizer = checkpoint.load(str(finished_run / "sft"), device="cpu")
    chat = ChatFormat(tokenizer)
    context = replace(context, env=EnvSettings(id=f"{DIGITS}:demo/Digits-v0"))
    settings = SampleSettings(tasks=24, held_out=12, samples=4, max_tokens=4)
    found = data.sample(settings, context, model, chat)
    again = data.sample(settings, context, model, chat)
    assert [(p.chosen, p.rejected) for p in found.pairs] == [
        (p.chosen, p.rejected) for p in again.pairs
    ]
    assert len(found.pairs) + sum(found.problems.values()) == 36
    splits = {pair.split for pair in found.pairs}
    assert splits == {"train", "validation"}
    assert all(pair.margin > 0 and pair.ids for pair in found.pairs)
