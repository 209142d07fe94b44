"""Packed rows give the loss of rows by themselves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlenv.trainers.sft.batches import collate, collate_packed, pack
from rlenv.trainers.sft.rows import IGNORED

PAD = 0


def models():
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    shape = {
        "vocab_size": 40,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "pad_token_id": PAD,
    }
    return {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**shape)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**shape)),
        "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**shape, sliding_window=8)),
    }


def rows(seed=0, count=9):
    generator = torch.Generator().manual_seed(seed)

    def below(n):
        return int(torch.randint(n, (), generator=generator))

    made = []
    for _ in range(count):
        ids = torch.randint(1, 40, (3 + below(20),), generator=generator).tolist()
        start = 1 + below(len(ids) - 1)
        made.append({"input_ids": ids, "labels": [IGNORED] * start + ids[start:]})
    return made


def loss(model, inputs):
    """The sum over all tokens with a label."""
    labels = inputs.pop("labels")[:, 1:].flatten()
    logits = model(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3"])
def test_packed_loss_and_gradients_are_those_of_rows_by_themselves(name, flat):
    torch.manual_seed(0)
    model = models()[name]().eval()
    some = rows()
    one_by_one = sum(loss(model, collate([row], PAD)) for row in some)
    one_by_one.backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    packed = list(pack(some, 32))
    assert len(packed) < len(some)
    together = loss(model, collate_packed(packed, PAD, flat=flat))
    together.backward()
    assert float(together.detach()) == pytest.approx(float(one_by_one.detach()), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-4)


def test_a_first_token_is_never_learned_from_another_document():
    texts = [{"input_ids": [5, 6], "labels": [5, 6]}, {"input_ids": [7, 8, 9], "labels": [7, 8, 9]}]
    batch = collate_packed(list(pack(texts, 8)), PAD)
    assert batch["labels"].tolist() == [[IGNORED, 8, 9, IGNORED, 6]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1]]


@given(st.lists(st.integers(1, 16), min_size=1, max_size=40))
def test_packing_loses_nothing_and_cuts_nothing(lengths):
    some = [{"input_ids": [n] * length, "labels": [n] * length} for n, length in enumerate(lengths)]
    packed = list(pack(some, 16))
    assert all(len(row["input_ids"]) <= 16 for row in packed)
    found = {}
    for row in packed:
        assert sum(row["seq_lengths"]) == len(row["input_ids"]) == len(row["labels"])
        start = 0
        for length in row["seq_lengths"]:
            piece = row["input_ids"][start : start + length]
            assert len(set(piece)) == 1
            found[piece[0]] = length
            start += length
    assert found == dict(enumerate(lengths))
