"""Packed rows: the loss and its gradient are those of the documents one by one."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen3Config, Qwen3ForCausalLM

from rlenv.trainers.pretraining.documents import Stream
from rlenv.trainers.pretraining.forward import hidden_states, row_loss
from rlenv.trainers.pretraining.measure import all_rows
from rlenv.trainers.pretraining.rows import NO_LABEL, next_token
from rlenv.trainers.pretraining.training import accumulate

from .support import VOCABULARY, gradients, random_documents, small_llama

LENGTHS = [3, 40, 2, 9, 17, 26, 5, 2, 31]


def packed(length=24, lengths=LENGTHS):
    return all_rows(random_documents(lengths), length)


def pieces(rows):
    """The token ids of every piece of every row, the last token of a row included."""
    for ids, labels, numbers in zip(rows.input_ids, rows.labels, rows.pieces, strict=True):
        for number in numbers.unique():
            here = numbers == number
            asked = labels[here]
            piece = ids[here]
            if asked[-1] != NO_LABEL:  # goes on beyond the row
                piece = torch.cat([piece, asked[-1:]])
            if len(piece) > 1:
                yield piece


def one_by_one(model, rows):
    """The summed loss of pieces that a model gets alone, through transformers."""
    return sum(
        F.cross_entropy(model(piece[None, :-1]).logits[0], piece[1:], reduction="sum")
        for piece in pieces(rows)
    )


def qwen():
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config)


MODELS = {
    "grouped heads": small_llama,
    "all heads, own head": lambda: small_llama(kv_heads=4, tied=False),
    "another family": qwen,
}


@pytest.mark.parametrize("name", MODELS)
def test_packed_and_unpacked_give_the_same_loss_and_gradient(name):
    model, rows = MODELS[name](), packed()
    assert 0 < int(rows.plain().sum()) < len(rows), "some rows with a border, some without"
    loss = row_loss(model, rows)
    loss.backward()
    ours = gradients(model)
    model.zero_grad()
    reference = one_by_one(model, rows)
    reference.backward()
    torch.testing.assert_close(loss, reference, rtol=1e-5, atol=1e-4)
    for key, theirs in gradients(model).items():
        torch.testing.assert_close(ours[key], theirs, rtol=1e-4, atol=1e-4, msg=key)


def test_no_token_sees_another_document():
    """Changing one document changes nothing about the loss of the others."""
    model, rows = small_llama(), packed()
    row, number = 0, int(rows.pieces[0, -1])
    changed = rows.input_ids.clone()
    changed[row, rows.pieces[row] == number] = 5
    with torch.no_grad():
        before = hidden_states(model, rows)
        after = hidden_states(model, type(rows)(changed, rows.labels, rows.positions, rows.pieces))
    others = torch.ones_like(rows.pieces, dtype=torch.bool)
    others[row] = rows.pieces[row] != number
    assert torch.equal(before[others], after[others])
    assert not torch.equal(before[~others], after[~others])


@given(
    lengths=st.lists(st.integers(2, 12), min_size=1, max_size=8),
    length=st.integers(2, 10),
    seed=st.integers(0, 3),
)
def test_a_stream_asks_for_every_token_once_an_epoch(lengths, length, seed):
    documents = random_documents(lengths)
    stream = Stream(documents, seed)
    count = -(-2 * stream.epoch // length)
    cuts = [stream.cut(n * length, length + 1) for n in range(count)]
    rows = next_token(np.stack([c[0] for c in cuts]), np.stack([c[1] for c in cuts]))
    ends = np.concatenate([[0], documents.ends])
    whole = [tuple(documents.tokens[a:b]) for a, b in itertools.pairwise(ends)]
    flat = rows.labels.flatten()[: 2 * stream.epoch - 1]
    wanted = sorted(t for text in whole for t in text[1:]) * 2
    assert sorted(flat[flat != NO_LABEL].tolist()) == sorted(wanted)
    # positions restart with every piece and count up within it
    starts = rows.positions == 0
    assert torch.equal(starts[:, 1:], rows.pieces[:, 1:] != rows.pieces[:, :-1])
    assert bool(starts[:, 0].all())
    steps = rows.positions.diff(dim=1)
    assert bool((steps[~starts[:, 1:]] == 1).all())


def test_epochs_are_in_different_orders_and_hold_the_same():
    stream = Stream(random_documents([4] * 30), seed=1)
    first, second = (stream.cut(n * stream.epoch, stream.epoch)[0] for n in (0, 1))
    assert sorted(first) == sorted(second)
    assert first.tolist() != second.tolist()
    again = Stream(random_documents([4] * 30), seed=1)
    assert again.cut(stream.epoch + 7, 50)[0].tolist() == second[7:57].tolist()


@pytest.mark.parametrize("size", [1, 3, 4])
def test_the_gradient_does_not_depend_on_the_micro_batch(size):
    model, rows = small_llama(), packed()
    whole = accumulate(model, rows, len(rows))
    wanted = gradients(model)
    model.zero_grad()
    assert accumulate(model, rows, size) == pytest.approx(whole, rel=1e-6)
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[key], rtol=1e-5, atol=1e-6, msg=key)


def test_bf16_is_near_and_leaves_float32_gradients():
    model, rows = small_llama(), packed()
    exact = accumulate(model, rows, len(rows))
    wanted = gradients(model)
    model.zero_grad()
    assert accumulate(model, rows, len(rows), bf16=True) == pytest.approx(exact, rel=2e-2)
    for key, gradient in gradients(model).items():
        assert gradient.dtype == torch.float32
        similarity = F.cosine_similarity(gradient.flatten(), wanted[key].flatten(), dim=0)
        assert similarity > 0.99, key
