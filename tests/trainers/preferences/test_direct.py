"""DPO and KTO: our tokens give TRL's loss and gradients; the stages learn, in rounds too."""

import copy
import json
import re

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from rlenv.common.errors import UserError
from rlenv.common.files import read_lines
from rlenv.common.settings import parse
from rlenv.data.preferences import Preferences, read
from rlenv.trainers.common.trl_stage import SubContext
from rlenv.trainers.preference import tokens
from rlenv.trainers.preference.data import Gathered
from rlenv.trainers.preference.dpo import LOSSES, DPOSettings, DPOStage
from rlenv.trainers.preference.kto import KTOSettings, KTOStage, judged, spread
from rlenv.trainers.preference.tokens import TokenReply
from tests.conftest import DIGITS

from .conftest import labelled_rows, polite_rows


def smoothing(loss):
    return 0.1 if loss in ("robust", "exo_pair", "aot") else 0.0


@pytest.fixture(scope="module")
def pairs():
    return read(polite_rows(6)).pairs


@pytest.fixture(scope="module")
def gathered(pairs, chat):
    made = [(pair, tokens.tokenize(pair, chat)) for pair in pairs]
    return Gathered(Preferences(), made, [])


@pytest.fixture
def part(context):
    return SubContext.of(context, "round-0", seed=1, before=0, source=context.source)


def loss_and_gradient(trainer, batch):
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    weights = dict(trainer.model.named_parameters())
    return loss.detach(), {name: w.grad.clone() for name, w in weights.items() if w.requires_grad}


def assert_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0])
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient, msg=name)


def two_models(nano):
    """A policy that has left its reference."""
    policy = copy.deepcopy(nano)
    torch.manual_seed(1)
    for weight in policy.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return policy, copy.deepcopy(nano)


def conversational(pairs):
    said = [
        [[{"role": "assistant", "content": text}] for text in (p.chosen, p.rejected)] for p in pairs
    ]
    return Dataset.from_list(
        [
            {"prompt": list(p.prompt), "chosen": good, "rejected": bad}
            for p, (good, bad) in zip(pairs, said, strict=True)
        ]
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_dpo_s_loss_and_gradient_are_those_of_trl_on_the_same_pairs(
    loss, part, gathered, pairs, nano, tokenizer
):
    settings = DPOSettings(
        data={"rows": "x.jsonl"}, loss=loss, beta=0.3, label_smoothing=smoothing(loss)
    )
    ours = DPOStage(settings).make_trainer(part, *two_models(nano), tokenizer, gathered)
    policy, reference = two_models(nano)
    theirs = DPOTrainer(
        model=policy,
        ref_model=reference,
        args=DPOConfig(
            output_dir=str(part.state),
            use_cpu=True,
            bf16=False,
            report_to=[],
            loss_type=loss,
            beta=0.3,
            label_smoothing=smoothing(loss),
        ),
        train_dataset=conversational(pairs),
        processing_class=tokenizer,
    )
    batches = [[dict(row) for row in trainer.train_dataset] for trainer in (ours, theirs)]
    assert_same(
        loss_and_gradient(ours, ours.data_collator(batches[0])),
        loss_and_gradient(theirs, theirs.data_collator(batches[1])),
    )


def test_dpo_is_the_formula(part, gathered, nano, tokenizer):
    """Log-probabilities added up token by token, without padding."""
    settings = DPOSettings(data={"rows": "x.jsonl"}, beta=0.3)
    policy, reference = two_models(nano)
    plain = copy.deepcopy(policy), copy.deepcopy(reference)
    trainer = DPOStage(settings).make_trainer(part, policy, reference, tokenizer, gathered)
    loss, _ = loss_and_gradient(trainer, trainer.data_collator(list(trainer.train_dataset)))

    def logprob(model, prompt, reply):
        logits = model(torch.tensor([prompt + reply])).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(reply) - 1)
        return sum(logits[place, token] for place, token in zip(places, reply, strict=True))

    losses = []
    for _, one in gathered.train:
        good, bad = (
            logprob(plain[0], one.prompt, reply) - logprob(plain[1], one.prompt, reply)
            for reply in (one.chosen, one.rejected)
        )
        losses.append(-torch.nn.functional.logsigmoid(0.3 * (good - bad)))
    torch.testing.assert_close(loss, torch.stack(losses).mean().detach())


def test_precomputed_references_give_the_same_loss(part, gathered, nano, tokenizer):
    """Of a reference that is the policy as it begins, before and after a step."""
    losses = []
    for precompute in (False, True):
        settings = DPOSettings(data={"rows": "x.jsonl"}, precompute=precompute)
        policy = copy.deepcopy(nano)
        reference = None if precompute else copy.deepcopy(nano)
        trainer = DPOStage(settings).make_trainer(part, policy, reference, tokenizer, gathered)
        torch.manual_seed(3)
        for weight in trainer.model.parameters():
            weight.data += 0.05 * torch.randn_like(weight)
        batch = trainer.data_collator([dict(row) for row in trainer.train_dataset])
        losses.append(loss_and_gradient(trainer, batch)[0])
    torch.testing.assert_close(*losses)


def test_kto_s_loss_and_gradient_are_those_of_trl(part, gathered, nano, tokenizer, chat):
    settings = KTOSettings(data={"rows": "x.jsonl"}, beta=0.3, good=1.5, batch_size=4)
    ours = KTOStage(settings).make_trainer(part, *two_models(nano), tokenizer, gathered)
    rows = [dict(row) for row in ours.train_dataset]
    policy, reference = two_models(nano)
    theirs = KTOTrainer(
        model=policy,
        ref_model=reference,
        args=KTOConfig(
            output_dir=str(part.state),
            use_cpu=True,
            bf16=False,
            report_to=[],
            beta=0.3,
            desirable_weight=1.5,
            per_device_train_batch_size=4,
        ),
        # the same replies in the same order, as text
        train_dataset=Dataset.from_list([as_messages(row, gathered, chat) for row in rows]),
        processing_class=tokenizer,
    )
    reference_rows = [dict(row) for row in theirs.train_dataset]
    for row, other in zip(rows, reference_rows, strict=True):
        assert row == {name: other[name] for name in row}
    assert_same(
        loss_and_gradient(ours, ours.data_collator(rows[:4])),
        loss_and_gradient(theirs, theirs.data_collator(reference_rows[:4])),
    )


def as_messages(row, gathered, chat):
    pair = next(pair for pair, made in gathered.train if made.prompt == row["prompt_ids"])
    said = {"role": "assistant", "content": chat.decode(row["completion_ids"])}
    return {"prompt": list(pair.prompt), "completion": [said], "label": row["label"]}


def test_kto_s_rows_hold_every_reply_once(gathered):
    made = [one for _, one in gathered.train]
    rows = judged(tokens.apart(made), at_once=4, seed=0)
    assert sorted(r["completion_ids"] for r in rows if r["label"]) == sorted(m.chosen for m in made)
    assert sum(not row["label"] for row in rows) == len(made)
    assert rows[4]["KL_completion_ids"] == rows[7]["completion_ids"]


def test_kto_s_loss_and_gradient_on_labelled_replies_are_those_of_trl(part, nano, tokenizer, chat):
    """The rows go to TRL as they stand in the file; the order is ours, and so is a row alone."""
    rows = labelled_rows(9)
    found = read(rows)
    made = tokens.fitting_labelled(found, found.labelled, chat, 128)
    gathered = Gathered(found, [], [], made, [])
    settings = KTOSettings(data={"rows": "x.jsonl"}, beta=0.3, bad=3.0, batch_size=4)
    ours = KTOStage(settings).make_trainer(part, *two_models(nano), tokenizer, gathered)
    mine = [dict(row) for row in ours.train_dataset]
    order = [made.index(TokenReply(r["prompt_ids"], r["completion_ids"], r["label"])) for r in mine]
    policy, reference = two_models(nano)
    theirs = KTOTrainer(
        model=policy,
        ref_model=reference,
        args=KTOConfig(
            output_dir=str(part.state),
            use_cpu=True,
            bf16=False,
            report_to=[],
            beta=0.3,
            undesirable_weight=3.0,
            per_device_train_batch_size=4,
        ),
        train_dataset=Dataset.from_list([spoken(rows[n]) for n in order]),
        processing_class=tokenizer,
    )
    reference_rows = [dict(row) for row in theirs.train_dataset]
    assert sorted(order) == list(range(9))
    for row, other in zip(mine[:8], reference_rows[:8], strict=True):
        assert row == {name: other[name] for name in row}
    for first in (0, 4):
        assert_same(
            loss_and_gradient(ours, ours.data_collator(mine[first : first + 4])),
            loss_and_gradient(theirs, theirs.data_collator(reference_rows[first : first + 4])),
        )
    # TRL estimates the divergence of a row that is alone on that row's own reply
    assert reference_rows[8]["KL_completion_ids"] == mine[8]["completion_ids"]
    assert mine[8]["KL_completion_ids"] == mine[7]["completion_ids"]


def spoken(row):
    return {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
        "label": row["label"],
    }


def test_a_held_out_reply_may_be_the_only_one(part, nano, tokenizer, chat):
    found = read(labelled_rows(5))
    made = tokens.fitting_labelled(found, found.labelled, chat, 128)
    gathered = Gathered(found, [], [], made[:4], made[4:])
    settings = KTOSettings(data={"rows": "x.jsonl"}, batch_size=4)
    trainer = KTOStage(settings).make_trainer(part, *two_models(nano), tokenizer, gathered)
    (row,) = trainer.eval_dataset
    assert row["KL_completion_ids"] == made[0].reply != row["completion_ids"]
    assert trainer.evaluate()["eval_loss"] > 0


def test_no_row_of_kto_is_longer_than_the_context(part, nano, tokenizer, chat):
    """A long prompt may meet the long reply to another one."""
    context = nano.config.max_position_embeddings
    sizes = [(context - 8, 4), (4, context - 8)]
    made = [TokenReply([5] * p, [6] * r, good) for (p, r), good in zip(sizes, (1, 0), strict=True)]
    gathered = Gathered(Preferences(), [], [], made, [])
    settings = KTOSettings(data={"rows": "x.jsonl"}, batch_size=2)
    trainer = KTOStage(settings).make_trainer(part, *two_models(nano), tokenizer, gathered)
    batch = trainer.data_collator([dict(row) for row in trainer.train_dataset])
    assert batch["KL_input_ids"].shape[1] == context


def test_every_stretch_of_what_is_measured_has_its_share_of_bad_replies():
    replies = [TokenReply([n], [n], n % 4 != 0) for n in range(40)]
    measured = spread(replies, seed=0)
    assert sorted(one.prompt for one in measured) == [one.prompt for one in replies]
    for first in range(0, 40, 8):
        assert sum(one.good for one in measured[first : first + 8]) == 6


STAGE = {"batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 2, "eval_every": 5}


def probability_gap(folder, polite, chat):
    """How much likelier a model makes chosen replies than rejected ones, in nats."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    gaps = []
    for line in polite.read_text().splitlines()[:10]:
        (pair,) = read([json.loads(line)]).pairs
        one = tokens.tokenize(pair, chat)
        values = []
        for reply in (one.chosen, one.rejected):
            logits = model(torch.tensor([one.prompt + reply])).logits[0, :-1].log_softmax(-1)
            ids = torch.tensor((one.prompt + reply)[1:])
            values.append(logits.gather(1, ids[:, None])[len(one.prompt) - 1 :].sum().item())
        gaps.append(values[0] - values[1])
    return sum(gaps) / len(gaps)


@pytest.mark.parametrize(
    ("stage", "own"),
    [
        ("dpo", {}),
        ("dpo", {"loss": {"sigmoid": 1.0, "sft": 0.2}, "precompute": True}),
        ("dpo", {"lora": {"rank": 4}, "learning_rate": 1e-2}),
        ("kto", {}),
        ("kto", {"bad": 3.0, "batch_size": 7, "epochs": 2}),
    ],
)
def test_the_policy_comes_to_prefer_what_was_chosen(
    run_stages, polite, labelled, chat_model, chat, stage, own, recwarn
):
    rows = labelled if "bad" in own else polite
    run = run_stages({stage: {**STAGE, "data": {"rows": str(rows)}, **own}}, env=None)
    assert not [w for w in recwarn if "is_gradient_checkpointing" in str(w.message)]
    lines = list(read_lines(run / "metrics.jsonl"))
    assert lines[-1]["held_out/rewards/margins"] > 0
    if stage == "dpo":
        assert lines[-1]["held_out/rewards/accuracies"] > 0.9
    before, after = (probability_gap(f, polite, chat) for f in (chat_model, run / stage))
    assert after > before + 1


def test_rounds_sample_anew(run_stages, finished_run):
    """Iterative DPO: the environment judges the policy's own replies, again and again."""
    data = {"sample": {"tasks": 240, "held_out": 32, "samples": 6, "max_tokens": 8}}
    fitting = {"batch_size": 8, "learning_rate": 3e-4, "warmup_steps": 0, "eval_every": 5}
    run = run_stages(
        {"dpo": {**fitting, "data": data, "rounds": 2, "eval_tasks": 64, "max_tokens": 8}},
        env=f"{DIGITS}:demo/Digits-v0",
        model=str(finished_run / "sft"),
    )
    lines = list(read_lines(run / "metrics.jsonl"))
    steps = [line["step"] for line in lines]
    assert steps == list(range(1, len(steps) + 1))
    rewards = [line["held_out/reward"] for line in lines if "held_out/reward" in line]
    assert rewards[-1] > rewards[0]
    record = json.loads((run / "dpo" / "preferences.json").read_text())
    assert record["round"] == "round-1"
    assert record["train"] > 0


def test_what_is_refused():
    with pytest.raises(UserError, match=r"no loss 'sigmoind'.*Did you mean sigmoid"):
        DPOSettings(data={"rows": "x"}, loss="sigmoind")
    with pytest.raises(UserError, match=r"several rounds need data\.sample"):
        parse(DPOSettings, {"data": {"rows": "x"}, "rounds": 2}, "test", "dpo.")
    with pytest.raises(UserError, match="give either rows"):
        parse(DPOSettings, {"data": {}}, "test", "dpo.")


def test_every_loss_of_trl_is_known():
    """So that a new version of TRL is noticed."""
    described = DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    named = re.findall(r"`'(\w+)'`", described)
    assert sorted(named) == sorted(LOSSES)
