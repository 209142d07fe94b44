import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from rlenv.engines.base import Engine, Request, Sampling, mix
from rlenv.engines.hf import TransformersEngine
from rlenv.engines.native import NativeEngine
from rlenv.engines.sampling import choose, filtered_logprobs, uniforms

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
STOP = [7]


def model_of(kind):
    torch.manual_seed(0)
    config = {
        "llama": lambda: LlamaConfig(**SHAPE),
        "llama3-rope": lambda: LlamaConfig(
            **SHAPE,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
        "qwen2": lambda: Qwen2Config(**SHAPE),
        "qwen3": lambda: Qwen3Config(**SHAPE, head_dim=16),
    }[kind]()
    return AutoModelForCausalLM.from_config(config).eval()


PROMPTS = [[1, 2, 3], [4, 5, 6, 8, 9, 10, 11], [1, 2, 3], [12], [20, 21, 22, 23, 24]]


def ask(engine, prompts, sampling, seeds):
    requests = [Request(p, seed) for p, seed in zip(prompts, seeds, strict=True)]
    return engine.generate(requests, sampling)


@pytest.fixture(scope="module", params=["llama", "llama3-rope", "qwen2", "qwen3"])
def model(request):
    return model_of(request.param)


@pytest.fixture(scope="module", params=[NativeEngine, TransformersEngine])
def engine(request, model):
    return request.param(model, stop_ids=STOP)


def test_both_are_engines(engine):
    assert isinstance(engine, Engine)


def test_greedy_text_is_that_of_transformers(engine, model):
    ours = ask(engine, PROMPTS, Sampling(temperature=0, max_tokens=12), range(5))
    for prompt, completion in zip(PROMPTS, ours, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=STOP,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert completion.token_ids == theirs
        assert completion.stopped == (theirs[-1] in STOP)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_logprobs_are_those_of_a_full_forward_pass(engine, model, temperature):
    sampling = Sampling(temperature=temperature, max_tokens=10)
    for prompt, completion in zip(
        PROMPTS, ask(engine, PROMPTS, sampling, [3, 1, 4, 1, 5]), strict=True
    ):
        ids = prompt + completion.token_ids
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, len(prompt) - 1 : -1]
        full = (logits / temperature).log_softmax(-1)
        expected = full.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_completion_depends_on_its_prompt_and_seed_alone(engine):
    sampling = Sampling(max_tokens=15)
    seeds = [11, 12, 13, 14, 15]
    together = ask(engine, PROMPTS, sampling, seeds)
    alone = [ask(engine, [p], sampling, [s])[0] for p, s in zip(PROMPTS, seeds, strict=True)]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]
    assert together[0].token_ids != together[2].token_ids  # same prompt, another seed


def test_rows_beyond_max_rows_are_decoded_in_turn(model):
    small, large = (
        NativeEngine(model, stop_ids=STOP, max_rows=2),
        NativeEngine(model, stop_ids=STOP),
    )
    sampling = Sampling(max_tokens=6)
    assert [c.token_ids for c in ask(small, PROMPTS, sampling, range(5))] == [
        c.token_ids for c in ask(large, PROMPTS, sampling, range(5))
    ]


def test_finished_rows_leave_the_batch_and_the_rest_goes_on(model):
    """Stop tokens that half of all draws hit, so that the batch shrinks at every step."""
    stops = list(range(0, 61, 2))
    engine = NativeEngine(model, stop_ids=stops)
    reference = TransformersEngine(model, stop_ids=stops)
    prompts = [[i % 50 + 1, 5] for i in range(64)]
    sampling = Sampling(max_tokens=12)
    ours, theirs = (ask(e, prompts, sampling, range(64)) for e in (engine, reference))
    assert [c.token_ids for c in ours] == [c.token_ids for c in theirs]
    assert {len(c.token_ids) for c in ours} >= {1, 2, 3, 4}
    assert all(c.stopped == (c.token_ids[-1] in stops) for c in ours)


def test_other_architectures_are_refused_by_the_native_engine():
    from transformers import GPT2Config

    gpt2 = AutoModelForCausalLM.from_config(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=9))
    with pytest.raises(ValueError, match="gpt2"):
        NativeEngine(gpt2, stop_ids=STOP)
    engine = TransformersEngine(gpt2, stop_ids=STOP)
    out = ask(engine, [[1], [2, 3]], Sampling(max_tokens=4), [0, 1])
    assert all(1 <= len(c.token_ids) <= 4 for c in out)


def test_draws_follow_the_distribution():
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0]).expand(20_000, 4)
    tokens, logprobs = choose(logits, Sampling(), uniforms(range(20_000), 3)[:, 2])
    expected = logits[0].softmax(-1)
    found = torch.bincount(tokens, minlength=4) / 20_000
    # four standard deviations of a share
    assert torch.all((found - expected).abs() < 4 * (expected * (1 - expected) / 20_000).sqrt())
    assert torch.allclose(logprobs, expected.log()[tokens])


def test_uniforms_depend_on_seed_and_position_alone():
    whole = uniforms([5, 6, 7], 9)
    assert torch.equal(whole[1:2, :4], uniforms([6], 4))
    assert whole.min() >= 0
    assert whole.max() < 1
    many = uniforms(range(2000), 50).numpy()
    assert abs(many.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(many[:-1, 0], many[1:, 0])[0, 1]) < 0.07


@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.floats(-8, 8), min_size=2, max_size=12),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.05, 1.0),
    min_p=st.floats(0.0, 1.0),
    temperature=st.floats(0.2, 3.0),
)
def test_filters_against_brute_force(logits, top_k, top_p, min_p, temperature):
    probabilities = np.exp(np.array(logits) / temperature)
    probabilities /= probabilities.sum()
    order = sorted(range(len(logits)), key=lambda i: -probabilities[i])
    kept = set(order[:top_k] if top_k else order)
    mass = sum(probabilities[i] for i in kept)
    nucleus, before = set(), 0.0
    for i in (i for i in order if i in kept):
        if before < top_p or top_p == 1.0:
            nucleus.add(i)
        before += probabilities[i] / mass
    kept &= nucleus
    kept = {i for i in kept if probabilities[i] >= min_p * probabilities.max() * (1 - 1e-6)}
    expected = np.array([probabilities[i] if i in kept else 0.0 for i in range(len(logits))])
    expected /= expected.sum()
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    found = filtered_logprobs(torch.tensor([logits]), sampling).exp()[0].numpy()
    ties = len({round(p, 5) for p in probabilities}) < len(logits)
    edges = any(abs(p - min_p * probabilities.max()) < 1e-4 for p in probabilities)
    if not ties and not edges and not np.any(np.abs(np.cumsum(expected) - top_p) < 1e-4):
        assert found == pytest.approx(expected, abs=1e-4)
    assert found.sum() == pytest.approx(1.0, abs=1e-4)


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
