"""What masked and corrupted rows ask for, and what their tokens see."""

from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from rlenv.trainers.pretraining import objectives, spans
from rlenv.trainers.pretraining.forward import hidden_states, row_loss
from rlenv.trainers.pretraining.measure import cut_all
from rlenv.trainers.pretraining.rows import NO_LABEL, PackedRows

from .support import VOCABULARY, random_documents, small_llama

MASK = 7
MASKED = objectives.Masked(MASK, np.arange(8, VOCABULARY), 0.15)
SENTINELS = np.arange(1000, 1100)
END = 3


def spans_of(length, share=0.15, span=3.0):
    return objectives.Spans(spans.Form(spans.Noise(share, span), SENTINELS, END, length))


def test_masked_tokens_are_hidden_as_berts():
    tokens, owners = cut_all(random_documents([5000] * 20), 500)
    rows = MASKED.rows(tokens, owners, np.random.default_rng(0))
    asked = rows.labels != NO_LABEL
    original = torch.from_numpy(tokens[:, :-1].astype(np.int64))
    assert float(asked.float().mean()) == pytest.approx(0.15, abs=0.005)
    assert torch.equal(rows.labels[asked], original[asked])
    assert torch.equal(rows.input_ids[~asked], original[~asked])
    shown = rows.input_ids[asked]
    hidden, same = shown == MASK, shown == original[asked]
    assert float(hidden.float().mean()) == pytest.approx(0.8, abs=0.02)
    # one in so many random tokens is the same by chance
    assert float(same.float().mean()) == pytest.approx(0.1 + 0.1 / (VOCABULARY - 8), abs=0.015)
    others = shown[~hidden & ~same]
    assert others.min() >= 8
    assert len(others.unique()) == VOCABULARY - 8


def test_special_tokens_and_what_fills_a_row_are_not_asked_for():
    documents = random_documents([30, 30])
    documents.tokens[::2] = 2
    tokens, owners = cut_all(documents, 50)
    everything = objectives.Masked(MASK, np.arange(0, 2).tolist() + list(range(8, VOCABULARY)), 1.0)
    rows = everything.rows(tokens, owners, np.random.default_rng(0))
    asked = rows.labels != NO_LABEL
    assert int(asked.sum()) == 30
    assert not bool((rows.labels == 2).any())


def test_a_masked_model_sees_both_ways_but_no_other_document():
    tokens, owners = cut_all(random_documents([12, 20, 8, 40]), 40)
    rows = MASKED.rows(tokens, owners, np.random.default_rng(0))
    model = small_llama()
    with torch.no_grad():
        before = hidden_states(model, rows)
        changed = rows.input_ids.clone()
        changed[0, 31] = 9  # the last token of the second document
        after = hidden_states(model, PackedRows(changed, *_rest(rows), causal=False))
    moved = (before != after).any(-1)
    assert moved[0].tolist() == [False] * 12 + [True] * 20 + [False] * 8
    assert not bool(moved[1:].any())


def _rest(rows):
    return rows.labels, rows.positions, rows.pieces


def test_the_loss_of_masked_rows_is_transformers():
    tokens, owners = cut_all(random_documents([12, 20, 8, 40]), 40)
    rows = MASKED.rows(tokens, owners, np.random.default_rng(1))
    model = small_llama()
    with torch.no_grad():
        ours = row_loss(model, rows)
        logits = model(
            input_ids=rows.input_ids, attention_mask=rows.visible(), position_ids=rows.positions
        ).logits
        theirs = F.cross_entropy(logits.flatten(0, 1), rows.labels.flatten(), reduction="sum")
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def restore(shown, asked):
    """Put the spans back."""
    spans_by_sentinel, current = {}, None
    assert asked[-1] == END
    for token in asked[:-1]:
        if token >= 1000:
            current = spans_by_sentinel.setdefault(token, [])
        else:
            current.append(token)
    whole = []
    for token in shown:
        whole += spans_by_sentinel.pop(token) if token >= 1000 else [token]
    assert not spans_by_sentinel
    return whole


@given(
    length=st.integers(2, 300),
    share=st.floats(0.01, 0.9),
    span=st.floats(1, 10),
    seed=st.integers(0, 9),
)
def test_what_is_asked_for_fills_what_is_left_out(length, share, span, seed):
    form = spans_of(1000, share, span).form
    form = spans.Form(form.noise, np.arange(1000, 1400), END, 1000)
    piece = np.random.default_rng(seed).integers(8, 900, length).astype(np.int32)
    shown, asked = spans.corrupt(piece, form, np.random.default_rng(seed))
    assert restore(shown.tolist(), asked.tolist()) == piece.tolist()
    assert len(shown) + len(asked) == form.noise.needs(length)
    noise, count = form.noise.counts(length)
    assert len(asked) == noise + count + 1
    assert not bool(np.isin(shown[:1], SENTINELS).any()), "the first token stays"


def test_the_counts_are_those_of_t5():
    """512 tokens of text: 77 cut out, in 26 spans."""
    assert spans.Noise(0.15, 3.0).counts(512) == (77, 26)
    noise = spans.Noise(0.15, 3.0)
    assert noise.needs(noise.longest(512)) <= 512 < noise.needs(noise.longest(512) + 1)


@given(
    lengths=st.lists(st.integers(2, 30), min_size=1, max_size=12),
    seed=st.integers(0, 9),
)
def test_rows_of_spans(lengths, seed):
    form = spans_of(32)
    tokens, owners = cut_all(random_documents(lengths), form.draws(32) - 1)
    rows = form.rows(tokens, owners, np.random.default_rng(seed))
    assert rows.input_ids.shape[1] == 32
    assert rows.prefix is not None
    asked = rows.labels != NO_LABEL
    # a label is the token that follows, and no token that is shown is asked for
    assert torch.equal(rows.labels[:, :-1][asked[:, :-1]], rows.input_ids[:, 1:][asked[:, :-1]])
    for ids, row_pieces, prefix in zip(rows.input_ids, rows.pieces, rows.prefix, strict=True):
        for number in row_pieces.unique():
            here = row_pieces == number
            if int(here.sum()) == 1:
                continue
            source = restore(ids[here & prefix].tolist(), ids[here & ~prefix].tolist())
            text = tokens[:, :-1].flatten().tolist()
            assert any(text[n : n + len(source)] == source for n in range(len(text)))


def test_what_is_asked_for_is_not_seen_by_what_is_shown():
    form = spans_of(32)
    documents = random_documents([27] * 3)
    tokens, owners = cut_all(documents, form.draws(32) - 1)
    rows = form.rows(tokens, owners, np.random.default_rng(0))
    rows = PackedRows(rows.input_ids % VOCABULARY, *_rest(rows), prefix=rows.prefix)
    model = small_llama()
    with torch.no_grad():
        before = hidden_states(model, rows)
        last = int((rows.pieces[0] == 0).sum()) - 1
        changed = rows.input_ids.clone()
        changed[0, last - 1] = (changed[0, last - 1] + 1) % VOCABULARY
        after = hidden_states(model, PackedRows(changed, *_rest(rows), prefix=rows.prefix))
    moved = (before != after).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [last - 1, last]


@pytest.mark.parametrize("name", ["masked", "spans"])
def test_a_model_learns_it(name, tokenizer):
    """A text of one repeated pattern is soon predicted."""
    tokenizer = deepcopy(tokenizer)
    before = len(tokenizer)
    objective = objectives.make(name, tokenizer, length=32, corruption=0.15, span=3)
    assert len(tokenizer) == before + (1 if name == "masked" else 2)
    assert tokenizer.decode(tokenizer.encode("<|end|>")), "it still reads and writes"
    ids = np.tile(np.arange(20, 28), 200).astype(np.int32)
    documents = random_documents([1600])
    documents.tokens[:] = ids
    tokens, owners = cut_all(documents, objective.draws(32) - 1)
    torch.manual_seed(0)
    model = small_llama()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(60):
        rows = objective.rows(tokens[:24], owners[:24], np.random.default_rng(step))
        loss = row_loss(model, rows) / rows.asked
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
