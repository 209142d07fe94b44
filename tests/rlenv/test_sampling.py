"""Drawing tokens: the draws, the filters, and what ends a completion."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlenv.engines.base import Request, Sampling, mix
from rlenv.engines.sampling import Stops, choose, distribution, uniforms


def test_draws_follow_the_distribution():
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0]).expand(20_000, 4)
    tokens, logprobs = choose(logits, Sampling(), uniforms(range(20_000), 3)[:, 2])
    expected = logits[0].softmax(-1)
    found = torch.bincount(tokens, minlength=4) / 20_000
    # four standard deviations of a share
    assert torch.all((found - expected).abs() < 4 * (expected * (1 - expected) / 20_000).sqrt())
    assert torch.allclose(logprobs, expected.log()[tokens])


@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.floats(-12, 12), min_size=1, max_size=140),
    top_k=st.integers(0, 5),
    places=st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=1, max_size=8),
)
def test_a_draw_inverts_the_cumulative_distribution(logits, top_k, places):
    """Also at both ends, where rounding could lead to a token that a filter removed."""
    places += [0.0, 1 - 2.0**-24]
    rows = torch.tensor([logits]).expand(len(places), -1)
    sampling = Sampling(top_k=top_k)
    tokens, logprobs = choose(rows, sampling, torch.tensor(places))
    shares = distribution(rows[:1], sampling)[0].double()
    upto = shares.cumsum(0)
    for place, token, logprob in zip(places, tokens.tolist(), logprobs.tolist(), strict=True):
        assert shares[token] > 0
        assert logprob == pytest.approx(shares[token].log().item(), abs=1e-5)
        assert upto[token] - shares[token] - 1e-6 <= place <= upto[token] + 1e-6


def test_uniforms_depend_on_seed_and_position_alone():
    whole = uniforms([5, 6, 7], 9)
    assert torch.equal(whole[1:2, :4], uniforms([6], 4))
    assert whole.min() >= 0
    assert whole.max() < 1
    many = uniforms(range(2000), 50).numpy()
    assert abs(many.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(many[:-1, 0], many[1:, 0])[0, 1]) < 0.07


@settings(max_examples=200, deadline=None)
@given(
    weights=st.lists(st.integers(1, 1000), min_size=2, max_size=12, unique=True),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.05, 1.0),
    min_p=st.floats(0.0, 1.0),
    temperature=st.floats(0.2, 3.0),
)
def test_filters_against_brute_force(weights, top_k, top_p, min_p, temperature):
    """No two tokens are as likely, so which ones stay is not up to rounding."""
    total = sum(weights)
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
    kept = order[:top_k] if top_k else order
    left = sum(weights[i] for i in kept)
    before = [sum(weights[j] for j in kept[:n]) / left for n in range(len(kept))]
    nucleus = {i for i, mass in zip(kept, before, strict=True) if top_p == 1 or mass < top_p}
    least = min_p * max(weights)
    expected = [w if i in nucleus and w >= least else 0 for i, w in enumerate(weights)]
    # nor is it where a bound lies between tokens
    assume(all(abs(mass - top_p) > 1e-5 for mass in before))
    assume(all(abs(w - least) > 1e-5 * total for w in weights if w != max(weights)))
    logits = temperature * torch.tensor(weights).double().log()
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    found = distribution(logits.float()[None], sampling)[0].tolist()
    assert found == pytest.approx([w / sum(expected) for w in expected], abs=1e-5)
    assert [share > 0 for share in found] == [w > 0 for w in expected]


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=4))
def test_mix_gives_seeds_that_differ(numbers):
    assert 0 <= mix(*numbers) < 2**63
    assert mix(*numbers) != mix(*numbers[:-1], numbers[-1] + 1)


@pytest.mark.parametrize(
    "bad", [{"temperature": -1}, {"max_tokens": 0}, {"top_p": 0}, {"top_k": -1}, {"min_p": 2}]
)
def test_sampling_is_checked(bad):
    with pytest.raises(ValueError, match="|".join(["temperature", "max_tokens", "top_k"])):
        Sampling(**bad)


def test_stop_is_texts_not_a_text():
    with pytest.raises(ValueError, match="tuple of texts"):
        Sampling(stop="end")
    with pytest.raises(ValueError, match="none of them empty"):
        Sampling(stop=("",))
    with pytest.raises(ValueError, match="tokenizer"):
        Stops([1], ["end"])


@given(st.integers(1, 9), st.none() | st.integers(1, 9))
def test_the_lower_limit_holds(general, own):
    limit = Request([1], seed=0, max_tokens=own).limit(Sampling(max_tokens=general))
    assert limit == (general if own is None else min(general, own))


@settings(max_examples=60, deadline=None)
@given(
    said=st.text("abc\u00e9\U0001f600", min_size=1, max_size=12),
    stop=st.text("abc\u00e9\U0001f600", min_size=1, max_size=3),
)
def test_a_stop_text_is_found_with_the_token_that_completes_it(byte_tokenizer, said, stop):
    ids = byte_tokenizer(said)["input_ids"]
    stops = Stops([], [stop], byte_tokenizer)
    found = next(
        (n for n in range(1, len(ids) + 1) if stops.may_close(ids[n - 1]) and stops.said(ids[:n])),
        None,
    )
    whole = next(
        (n for n in range(1, len(ids) + 1) if stop in byte_tokenizer.decode(ids[:n])), None
    )
    assert found == whole
    assert (found is not None) == (stop in said)


@pytest.fixture(scope="module")
def byte_tokenizer():
    """Tokens are single bytes, so that characters are cut in pieces, and a few are pairs."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: n for n, c in enumerate([*alphabet, "ab", "ca"])}
    made = Tokenizer(models.BPE(vocabulary, merges=[("a", "b"), ("c", "a")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made)
