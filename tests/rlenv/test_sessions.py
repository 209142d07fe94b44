"""Conversations of several turns: the cache that is kept gives what a full forward pass gives."""

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlenv.engines.base import Engine, Request, Sampling
from rlenv.engines.hf import TransformersEngine
from rlenv.engines.native import NativeEngine

from .engine_models import NATIVE, STOP, check, model_of

ids = st.lists(st.integers(1, 59), min_size=1, max_size=9)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0, 1.3]),
    max_tokens=st.integers(1, 12),
    top_k=st.sampled_from([0, 10]),
    top_p=st.sampled_from([0.9, 1.0]),
)


@pytest.fixture(scope="module", params=NATIVE)
def model(request):
    return model_of(request.param)


def play(session, model, talks, said, sampling, seed=0, stop_ids=STOP):
    """Play one turn of conversations by name, check it, and append what was said and a few ids."""
    requests = [
        Request(list(talks[name]), seed=97 * seed + n, conversation=name)
        for n, name in enumerate(said)
    ]
    for name, request, completion in zip(
        said, requests, session.generate(requests, sampling), strict=True
    ):
        check(model, request, sampling, completion, stop_ids=stop_ids)
        talks[name] += [*completion.token_ids, *said[name]]


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.3])
def test_six_turns(model, temperature):
    engine = NativeEngine(model, stop_ids=STOP)
    talks = {n: [[5, 6, 8], [9, 10, 11, 12, 13], [14]][n % 3] for n in range(9)}
    talks = {n: list(prompt) for n, prompt in talks.items()}
    with engine.session() as session:
        for turn in range(6):
            said = {n: [20 + turn, 30 + n, 40][: 1 + (turn + n) % 3] for n in talks}
            sampling = Sampling(temperature=temperature, max_tokens=5)
            play(session, model, talks, said, sampling, seed=turn)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_session_is_asked(model, data):
    """Conversations begin, pause, end, come back and are edited, in groups of any shape."""
    half = list(range(0, 61, 2))  # stop tokens that make the batch shrink at every step
    stop_ids = data.draw(st.sampled_from([STOP, half, []]))
    cache = data.draw(st.sampled_from([None, None, 20_000]))  # bytes: a few hundred tokens
    engine = NativeEngine(model, stop_ids=stop_ids, cache_bytes=cache)
    prompts = data.draw(st.lists(ids, min_size=1, max_size=3))
    talks = {
        name: list(data.draw(st.sampled_from(prompts)))
        for name in range(data.draw(st.integers(1, 8)))
    }
    with engine.session() as session:
        for turn in range(data.draw(st.integers(2, 4))):
            names = data.draw(st.lists(st.sampled_from(sorted(talks)), min_size=1, unique=True))
            said = {name: data.draw(ids) for name in names}
            for name in names:
                if data.draw(st.integers(0, 7)) == 0:  # someone else's words
                    talks[name] = [*data.draw(ids), *talks[name][2:]]
            play(session, model, talks, said, data.draw(samplings), turn, stop_ids)


@pytest.mark.parametrize("kind", [NativeEngine, TransformersEngine])
def test_a_session_gives_what_engines_without_one_give(kind):
    model = model_of("qwen3")
    engine = kind(model, stop_ids=STOP)
    plain, kept = {n: [n + 1, 5] for n in range(6)}, {n: [n + 1, 5] for n in range(6)}
    said = {n: [30 + n, 31] for n in plain}
    with engine.session() as session:
        assert isinstance(session, Engine)
        for turn in range(3):
            play(engine, model, plain, said, Sampling(max_tokens=8), seed=turn)
            play(session, model, kept, said, Sampling(max_tokens=8), seed=turn)
    assert kept == plain


def test_each_token_is_computed_once():
    """A prompt once for its group, what is said once; only a reply's last token waits."""
    model = model_of("llama")
    read = count_tokens(model)
    engine, turns, limit, new = NativeEngine(model, stop_ids=[]), 5, 4, [33, 34]
    talks = {n: list(range(1, 21)) for n in range(8)}
    with engine.session() as session:
        for turn in range(turns):
            requests = [Request(list(talk), 10 * turn + n, None, n) for n, talk in talks.items()]
            for n, completion in enumerate(session.generate(requests, Sampling(max_tokens=limit))):
                talks[n] += [*completion.token_ids, *new]
    prompt, unread = 20, 1 + len(new)  # nobody asked what follows the last turn
    assert read["tokens"] == prompt + 8 * (turns * (limit + len(new)) - unread)


def test_unnamed_conversations_are_always_new():
    model = model_of("llama")
    read = count_tokens(model)
    with NativeEngine(model, stop_ids=[]).session() as session:
        for _ in range(2):
            session.generate([Request([1, 2, 3], 0)], Sampling(max_tokens=1))
    assert read["tokens"] == 6


def count_tokens(model):
    """Count the tokens that a model embeds from now on."""
    count = Counter()
    model.get_input_embeddings().register_forward_hook(
        lambda _, inputs, __: count.update(tokens=inputs[0].numel())
    )
    return count


def test_a_session_sees_weights_as_they_are_when_it_begins():
    model = model_of("llama")
    engine, sampling = NativeEngine(model, stop_ids=STOP), Sampling(max_tokens=6)
    before = engine.generate([Request([1, 2], 0)], sampling)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    (after,) = engine.generate([Request([1, 2], 0)], sampling)
    check(model, Request([1, 2], 0), sampling, after)
    assert after.logprobs != before[0].logprobs


def lora(model, **options):
    peft = pytest.importorskip("peft")
    settings = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", **options}
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**settings)).eval()
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:  # zero when new
                parameter.normal_(std=0.1)
    return wrapped


@pytest.mark.parametrize("kind", [NativeEngine, TransformersEngine])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target_modules": ["q_proj", "v_proj", "down_proj"], "use_rslora": True},
        {"use_dora": True},
        {"lora_bias": True},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens"]},
    ],
    ids=repr,
)
def test_lora(kind, options):
    """Adapters count as they are: on, off, and merged."""
    if options.get("lora_bias"):
        model = model_of("llama-bias")
    else:
        model = model_of("llama", tie_word_embeddings=False)
    wrapped = lora(model, **options)
    engine, sampling = kind(wrapped, stop_ids=STOP), Sampling(temperature=1.3, max_tokens=5)

    def two_turns():
        talks = {n: [n % 2 + 1, 4, 5] for n in range(4)}
        with engine.session() as session:
            for turn in range(2):
                play(session, wrapped, talks, {n: [11, 12] for n in talks}, sampling, seed=turn)
        return talks

    on = two_turns()
    with wrapped.disable_adapter():
        off = two_turns()
    assert on != off
    wrapped.merge_adapter()
    two_turns()
    wrapped.unmerge_adapter()
    assert two_turns() == on


def test_two_adapters():
    peft = pytest.importorskip("peft")
    wrapped = lora(model_of("qwen2"))
    wrapped.add_adapter("second", peft.LoraConfig(r=2, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B.second" in name:
                parameter.normal_(std=0.3)
    engine, sampling = NativeEngine(wrapped, stop_ids=STOP), Sampling(max_tokens=8)
    for active in (["default"], ["second"], ["default", "second"]):
        wrapped.base_model.set_adapter(active)
        requests = [Request([n, 5], n) for n in range(1, 5)]
        for request, completion in zip(requests, engine.generate(requests, sampling), strict=True):
            check(wrapped, request, sampling, completion)


def test_large_layers_are_called_not_copied(monkeypatch):
    monkeypatch.setattr("rlenv.engines.native.model._JOIN_BELOW", 0)
    wrapped = lora(model_of("qwen3"))
    engine = NativeEngine(wrapped, stop_ids=STOP)
    talks = {n: [n + 1, 5] for n in range(3)}
    with engine.session() as session:
        for turn in range(2):
            play(session, wrapped, talks, {n: [7, 8] for n in talks}, Sampling(max_tokens=6), turn)
