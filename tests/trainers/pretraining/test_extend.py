"""Longer positions: the tables are the published ones, and the stage runs."""

import json
import math

import pytest
import torch

from rlenv.common.errors import UserError
from rlenv.trainers.pretraining.extend import extended, perplexity_by_place
from rlenv.trainers.pretraining.forward import row_loss
from rlenv.trainers.pretraining.measure import all_rows
from tests.conftest import DIGITS

from .support import random_documents, small_llama


def frequencies(model):
    return model.model.rotary_emb.inv_freq.double()


def test_a_larger_base_slows_the_lowest_frequency_down_by_the_factor():
    model = small_llama()
    longer = extended(model, 256, first=64, method="base")
    slower = frequencies(model) / frequencies(longer)
    assert float(slower[0]) == pytest.approx(1)
    assert float(slower[-1]) == pytest.approx(4, rel=1e-4)
    named = extended(model, 256, first=64, method="base", base=5e5)
    assert named.config.rope_parameters["rope_theta"] == 5e5


def test_yarn_is_the_papers():
    """Section 3.2 with alpha 1 and beta 32, and the temperature of section 3.4."""
    model, first, factor = small_llama(), 2048, 4.0
    longer = extended(model, int(first * factor), first=first, method="yarn")
    old = frequencies(model)
    turns = first * old / (2 * math.pi)
    width, base = 2 * len(old), model.config.rope_parameters["rope_theta"]

    def dimension(rotations):
        return width * math.log(first / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(math.floor(dimension(32)), 0), min(math.ceil(dimension(1)), width - 1)
    ramp = ((torch.arange(len(old)) - low) / (high - low)).clamp(0, 1)
    wanted = old / factor * ramp + old * (1 - ramp)
    torch.testing.assert_close(frequencies(longer), wanted, rtol=1e-5, atol=0)
    assert bool((frequencies(longer)[turns < 1] * factor).allclose(old[turns < 1]))
    assert longer.model.rotary_emb.attention_scaling == pytest.approx(0.1 * math.log(factor) + 1)


@pytest.mark.parametrize("method", ["base", "yarn"])
def test_the_weights_stay_and_both_forward_passes_agree(method):
    model = small_llama()
    longer = extended(model, 256, first=64, method=method)
    assert longer.config.max_position_embeddings == 256
    assert model.config.max_position_embeddings == 64
    for name, value in longer.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    rows = all_rows(random_documents([129, 100]), 128)
    with torch.no_grad():
        ours = row_loss(longer, rows)
        logits = longer(
            input_ids=rows.input_ids, attention_mask=rows.visible(), position_ids=rows.positions
        ).logits
    theirs = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), rows.labels.flatten(), reduction="sum"
    )
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_what_can_not_be_extended():
    with pytest.raises(UserError, match="takes 64 tokens already"):
        extended(small_llama(), 64, first=64, method="yarn")
    once = extended(small_llama(), 128, first=64, method="yarn")
    with pytest.raises(UserError, match="positions of this model are yarn"):
        extended(once, 256, first=128, method="base")


def test_perplexity_by_place_is_that_of_all_tokens_together():
    model, rows = small_llama(), all_rows(random_documents([101, 101]), 100)
    found = perplexity_by_place(model, rows.take(rows.plain()), 20)
    assert list(found) == ["1-20", "21-40", "41-80", "81-100"]
    nats = sum(math.log(found[k]) * n for k, n in zip(found, (20, 20, 40, 20), strict=True))
    with torch.no_grad():
        whole = float(row_loss(model, rows.take(rows.plain()))) / int(rows.plain().sum())
    assert nats == pytest.approx(whole, rel=1e-4)


def test_the_stage(tmp_path):
    from rlenv.cli import train

    text = "the men went to the sea with their ships and came home again. " * 40
    rows = [json.dumps({"text": f"{n} {text}"}) for n in range(8)]
    (tmp_path / "books.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "run.yaml").write_text(
        f"run_dir: {tmp_path}/run\nenv: {DIGITS}:demo/Digits-v0\nthreads: 1\nstages:\n"
        f"  tokenizer: {{corpus: [{tmp_path}/books.jsonl], max_length: 32}}\n"
        f"  pretrain: {{corpus: [{tmp_path}/books.jsonl], steps: 2, batch_size: 4, length: 32}}\n"
        f"  extend: {{corpus: [{tmp_path}/books.jsonl], steps: 2, batch_size: 2, length: 128,"
        " method: yarn, held_out: 0.2}\n"
    )
    assert train.main([str(tmp_path / "run.yaml")]) == 0
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").open()]
    last = records[-1]
    assert (last["stage"], last["step"]) == ("extend", 2)
    for place in ("1-32", "33-64", "65-128"):
        assert last[f"held_out/perplexity/{place}"] > 1
        assert last[f"held_out/perplexity_before/{place}"] > 1
    saved = json.loads((tmp_path / "run/extend/config.json").read_text())
    assert saved["max_position_embeddings"] == 128
    assert saved["rope_parameters"]["rope_type"] == "yarn"
