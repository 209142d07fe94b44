"""What both engines of this process owe to a request, for every family they run."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlenv.engines.base import Engine, EngineSetup, Request, Sampling
from rlenv.engines.hf import TransformersEngine
from rlenv.engines.native import NativeEngine
from rlenv.engines.settings import EngineSettings

from .engine_models import NATIVE, OTHERS, STOP, check, model_of

PROMPTS = [[1, 2, 3], [4, 5, 6, 8, 9, 10, 11, 3, 2, 1], [1, 2, 3], [12], [20, 21, 22, 23, 24]]
SEEDS = [3, 1, 4, 1, 5]
PAIRS = [(NativeEngine, name) for name in NATIVE] + [
    (TransformersEngine, name) for name in [*OTHERS, "llama", "gemma3"]
]


def requests_of(prompts, seeds, **settings):
    return [Request(p, s, **settings) for p, s in zip(prompts, seeds, strict=True)]


def told(completions):
    return [c.token_ids for c in completions]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"{pair[0].__name__}-{pair[1]}")
def engine(request):
    kind, name = request.param
    return kind(model_of(name), stop_ids=STOP)


def test_it_is_an_engine(engine):
    assert isinstance(engine, Engine)
    assert engine.generate([], Sampling()) == []


def test_greedy_text_is_that_of_transformers(engine):
    requests = requests_of(PROMPTS, SEEDS)
    ours = engine.generate(requests, Sampling(temperature=0, max_tokens=12))
    for prompt, completion in zip(PROMPTS, ours, strict=True):
        theirs = engine.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=STOP,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert completion.token_ids == theirs
        assert completion.stopped == (theirs[-1] in STOP)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7, max_tokens=10),
        Sampling(max_tokens=24),
        Sampling(temperature=1.3, max_tokens=10),
        Sampling(max_tokens=10, top_k=5),
        Sampling(max_tokens=10, top_p=0.8),
        Sampling(max_tokens=10, min_p=0.1),
        Sampling(temperature=1.3, max_tokens=10, top_k=20, top_p=0.9, min_p=0.02),
    ],
    ids=repr,
)
def test_tokens_and_logprobs_are_those_of_a_full_forward_pass(engine, sampling):
    requests = requests_of(PROMPTS, SEEDS)
    for request, completion in zip(requests, engine.generate(requests, sampling), strict=True):
        check(engine.model, request, sampling, completion)


def test_a_completion_depends_on_its_request_alone(engine):
    sampling = Sampling(max_tokens=15)
    requests = requests_of(PROMPTS, SEEDS)
    together = told(engine.generate(requests, sampling))
    assert told(engine.generate(requests[::-1], sampling))[::-1] == together
    assert [told(engine.generate([request], sampling))[0] for request in requests] == together
    assert together[0] != together[2]  # one prompt, two seeds


def test_a_stream_holds_what_is_generated(engine):
    sampling = Sampling(max_tokens=24)
    requests = requests_of(PROMPTS, SEEDS)
    streamed = dict(engine.stream(requests, sampling))
    assert [streamed[n] for n in range(len(PROMPTS))] == engine.generate(requests, sampling)


def test_short_completions_are_streamed_before_long_ones_are_done():
    engine = NativeEngine(model_of("llama"), stop_ids=[])
    limits = [70, 3, 9, 1]  # more than a sampler has room for at first, and less
    requests = [Request(PROMPTS[0], n, max_tokens=limit) for n, limit in enumerate(limits)]
    stream = engine.stream(requests, Sampling(max_tokens=100))
    seen = [(n, len(completion.token_ids)) for n, completion in stream]
    assert seen == [(3, 1), (1, 3), (2, 9), (0, 70)]


def test_stop_texts(engine, tokenizer):
    """Each request has its own reply to the same texts, which several tokens spell."""
    limit = 40
    engine = type(engine)(engine.model, stop_ids=STOP, tokenizer=tokenizer)
    requests = requests_of([[n + 1, n] for n in range(12)], range(12))
    unstopped = engine.generate(requests, Sampling(max_tokens=limit))
    texts = [tokenizer.decode(c.token_ids, skip_special_tokens=True) for c in unstopped]
    stop = next(text[2:4] for text in texts if len(text) > 6)
    sampling = Sampling(max_tokens=limit, stop=(stop, "?"))
    completions = engine.generate(requests, sampling)
    for request, completion in zip(requests, completions, strict=True):
        check(engine.model, request, sampling, completion, tokenizer=tokenizer)
    assert any(c.stopped and c.token_ids[-1] not in STOP for c in completions)


def test_requests_beyond_max_rows_are_decoded_in_turn(engine):
    sampling, requests = Sampling(max_tokens=6), requests_of(PROMPTS, SEEDS)
    small = type(engine)(engine.model, stop_ids=STOP, max_rows=2)
    assert told(small.generate(requests, sampling)) == told(engine.generate(requests, sampling))


def test_a_checkpoints_own_settings_do_not_bend_the_distribution(engine):
    requests, sampling = requests_of(PROMPTS, SEEDS), Sampling(max_tokens=8)
    before = told(engine.generate(requests, sampling))
    config = engine.model.generation_config
    kept = config.to_dict()
    config.update(repetition_penalty=3.0, temperature=0.1, do_sample=True, eos_token_id=9)
    try:
        assert told(engine.generate(requests, sampling)) == before
    finally:
        engine.model.generation_config = type(config).from_dict(kept)


def test_a_model_in_training_is_evaluated_and_goes_on_training():
    model = model_of("llama", attention_dropout=0.5)
    for kind in (NativeEngine, TransformersEngine):
        engine = kind(model.train(), stop_ids=STOP)
        requests, sampling = requests_of(PROMPTS, SEEDS), Sampling(max_tokens=6)
        completions = engine.generate(requests, sampling)
        assert model.training
        model.eval()
        for request, completion in zip(requests, completions, strict=True):
            check(model, request, sampling, completion)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_groups_of_any_shape_that_shrink_in_any_order(model, data):
    """Half of all tokens end a reply, so rows leave the batch at every step."""
    prompts = data.draw(
        st.lists(st.lists(st.integers(1, 59), min_size=1, max_size=14), min_size=1, max_size=4)
    )
    rows = data.draw(st.lists(st.integers(0, len(prompts) - 1), min_size=1, max_size=24))
    limits = data.draw(st.lists(st.none() | st.integers(1, 30), min_size=24, max_size=24))
    stop_ids = data.draw(st.sampled_from([[], STOP, list(range(0, 61, 2))]))
    sampling = Sampling(max_tokens=20)
    requests = [Request(prompts[p], n, limits[n]) for n, p in enumerate(rows)]
    engine = NativeEngine(model, stop_ids=stop_ids)
    for request, completion in zip(requests, engine.generate(requests, sampling), strict=True):
        check(model, request, sampling, completion, stop_ids=stop_ids)


@pytest.fixture(scope="module", params=["llama", "qwen2-window", "qwen3", "gemma3"])
def model(request):
    return model_of(request.param)


def test_long_replies_merge_their_blocks():
    model = model_of("gemma3", max_position_embeddings=512)
    requests = [Request([1, 2, 3], n, max_tokens=m) for n, m in enumerate((350, 20, 200, 290, 66))]
    engine, sampling = NativeEngine(model, stop_ids=[]), Sampling(max_tokens=350)
    for request, completion in zip(requests, engine.generate(requests, sampling), strict=True):
        check(model, request, sampling, completion, stop_ids=[])


def test_in_bfloat16_logprobs_are_off_by_hundredths():
    model = model_of("llama")
    engine = NativeEngine(model, stop_ids=STOP, dtype=torch.bfloat16)
    requests, sampling = requests_of([[n] for n in range(1, 17)], range(16)), Sampling(max_tokens=9)
    off = []
    for request, completion in zip(requests, engine.generate(requests, sampling), strict=True):
        ids = [*request.token_ids, *completion.token_ids]
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        exact = [
            logprobs[n, token].item()
            for n, token in enumerate(completion.token_ids, start=len(request.token_ids) - 1)
        ]
        off += (np.array(exact) - completion.logprobs).tolist()
    assert 0 < np.abs(off).mean() < 0.05
    assert abs(np.mean(off)) < 0.02


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_are_refused_by_the_native_engine(name):
    with pytest.raises(ValueError, match=name):
        NativeEngine(model_of(name), stop_ids=STOP)


@pytest.mark.parametrize("kind", [NativeEngine, TransformersEngine])
def test_new_weights_are_generated_from(kind):
    model, other = copy.deepcopy(model_of("llama")), copy.deepcopy(model_of("llama"))
    for n, weight in enumerate(other.parameters()):
        torch.manual_seed(n)
        weight.data += 0.2 * torch.randn_like(weight)
    engine = kind.build(model, EngineSetup(EngineSettings(), (3,)))
    requests = [Request([5, 6, 7], seed=n) for n in range(8)]
    sampling = Sampling(max_tokens=6)
    before = engine.generate(requests, sampling)
    engine.update_weights(other.state_dict())
    after = engine.generate(requests, sampling)
    expected = kind(other, stop_ids=[3]).generate(requests, sampling)
    assert after == expected != before
    with pytest.raises(RuntimeError, match="Missing key"):
        engine.update_weights({})
