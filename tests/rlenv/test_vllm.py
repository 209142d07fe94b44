"""The vLLM engine, through TRL's own client, against a server that speaks vLLM's protocol."""

import copy
import itertools
import math
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from rlenv.common.errors import RunFailed, UserError
from rlenv.engines.base import Engine, Request, Sampling
from rlenv.engines.export import exports
from rlenv.engines.native import NativeEngine
from rlenv.engines.sampling import Stops
from rlenv.engines.settings import EngineSettings
from rlenv.engines.vllm import VLLMEngine, completion, connect
from rlenv.models import checkpoint
from rlenv.run import config
from rlenv.runner import runner
from tests.vllm_server import FakeVLLM, pretend_installed

REQUESTS = [
    Request([2, 9, 10, 11], seed=3),
    Request([2, 9, 10, 11], seed=4),
    Request([2, 40], seed=5, max_tokens=2),
]
GPU = torch.device("cuda")  # only named: TRL's client looks at it before it sends weights
_ports = itertools.count(20_000)


@pytest.fixture
def served(nano, tokenizer, monkeypatch):
    """A server of a model of its own."""
    pretend_installed(monkeypatch)
    with FakeVLLM(copy.deepcopy(nano), tokenizer) as server:
        yield server


def at(server, **settings):
    return EngineSettings(
        kind="vllm", url=server.url, timeout=0, group_port=next(_ports), **settings
    )


class OnGPU:
    """A model that says it is on a GPU, and tensors that stay where they are."""

    device = GPU

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.fixture
def tensors_stay(monkeypatch):
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda t, *a, **k: t if a == (GPU,) else to(t, *a, **k))


SAMPLINGS = [
    Sampling(max_tokens=8),
    Sampling(temperature=0.5, max_tokens=3, top_k=5),
    Sampling(temperature=1.5, max_tokens=6, top_p=0.8, min_p=0.02),
    Sampling(temperature=0, max_tokens=5),
    Sampling(max_tokens=40, stop=("e", "7")),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=repr)
def test_samples_what_an_engine_here_samples_with_the_same_seeds(served, nano, tokenizer, sampling):
    engine = VLLMEngine(
        connect(at(served)), nano, stop_ids=[30, 3], tokenizer=tokenizer, pushes=False
    )
    assert isinstance(engine, Engine)
    here = NativeEngine(nano, stop_ids=[30, 3], tokenizer=tokenizer)
    ours, theirs = (e.generate(REQUESTS, sampling) for e in (here, engine))
    assert [c.token_ids for c in theirs] == [c.token_ids for c in ours]
    assert [c.stopped for c in theirs] == [c.stopped for c in ours]
    for a, b in zip(theirs, ours, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)
    assert any(c.stopped for c in ours) == bool(sampling.stop)
    assert engine.generate([], sampling) == []


def test_weights_reach_the_server(served, nano, tensors_stay):
    policy = copy.deepcopy(nano)
    engine = VLLMEngine(connect(at(served)), OnGPU(policy), stop_ids=[3])
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    before = served.model.state_dict()["lm_head.weight"].clone()
    engine.update_weights(policy.state_dict())
    after = served.model.state_dict()
    for name, tensor in policy.state_dict().items():
        assert torch.equal(after[name], tensor)
    assert not torch.equal(after["lm_head.weight"], before)
    assert not served.updating
    assert len(served.asked("/reset_prefix_cache")) == 1
    sampling = Sampling(max_tokens=8)
    ours = NativeEngine(policy, stop_ids=[3]).generate(REQUESTS, sampling)
    assert [c.token_ids for c in engine.generate(REQUESTS, sampling)] == [c.token_ids for c in ours]


def with_lora(nano, **options):
    peft = pytest.importorskip("peft")
    settings = peft.LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], **options
    )
    model = peft.get_peft_model(copy.deepcopy(nano), settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape) * 0.1)
    return model


def test_lora_reaches_the_server_merged_and_leaves_the_policy_alone(served, nano, tensors_stay):
    policy = with_lora(nano)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    engine = VLLMEngine(connect(at(served)), OnGPU(policy), stop_ids=[3])
    engine.update_weights(policy.state_dict())
    assert all(torch.equal(before[name], t) for name, t in policy.state_dict().items())
    merged = copy.deepcopy(policy).merge_and_unload()
    for name, tensor in merged.named_parameters():
        torch.testing.assert_close(served.model.get_parameter(name), tensor, atol=1e-6, rtol=1e-6)
    assert not torch.equal(
        served.model.model.layers[0].self_attn.q_proj.weight.data,
        nano.model.layers[0].self_attn.q_proj.weight.data,
    )


@pytest.mark.parametrize(
    "options",
    [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 3}}, {"modules_to_save": ["lm_head"]}],
    ids=str,
)
def test_exports_are_what_peft_merges(nano, options):
    policy = with_lora(nano, **options)
    state = policy.state_dict()
    exported = {e.name: e.tensor(state) for e in exports(policy)}
    merged = copy.deepcopy(policy).merge_and_unload()
    wanted = dict(merged.named_parameters(remove_duplicate="modules_to_save" not in options))
    assert exported.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(exported[name], tensor, atol=1e-6, rtol=1e-6)


def test_only_the_active_adapter_is_merged(nano):
    policy = with_lora(nano)
    wanted = {e.name: e.tensor(policy.state_dict()) for e in exports(policy)}
    policy.add_adapter("ref", policy.peft_config["default"])
    found = {e.name: e.tensor(policy.state_dict()) for e in exports(policy)}
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_half_precision_base_does_not_drift(nano):
    policy = with_lora(nano).bfloat16()
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    for _ in range(3):
        for export in exports(policy):
            assert export.tensor(policy.state_dict()).dtype == torch.bfloat16
    assert all(torch.equal(before[name], t) for name, t in policy.state_dict().items())


def test_an_adapter_that_can_not_be_merged(nano):
    with pytest.raises(UserError, match="only LoRA on linear layers"):
        exports(with_lora(nano, use_dora=True))


def test_a_logprob_that_the_server_lacks_is_nan():
    made = completion([7, 3], [[None], [-0.1, -2.0]], [[7], [9, 3]], Stops([3]))
    assert math.isnan(made.logprobs[0])
    assert made.logprobs[1] == -2.0
    assert made.stopped


def test_a_server_that_fails_is_named(served, nano):
    engine = VLLMEngine(connect(at(served)), nano, stop_ids=[3], pushes=False)
    with pytest.raises(RunFailed, match=served.url):
        engine.generate([Request([2, 10**6], seed=0)], Sampling(max_tokens=4))


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)


def test_without_vllm_installed(not_installed):
    with pytest.raises(UserError, match=r"pip install 'verifiable-rl\[vllm\]'"):
        connect(EngineSettings(kind="vllm"))


def test_without_a_server(monkeypatch):
    pretend_installed(monkeypatch)
    with pytest.raises(UserError, match="no vLLM server answers at http"):
        connect(EngineSettings(kind="vllm", url="http://127.0.0.1:9", timeout=0))


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"missing": ["/server_info"]}, "VLLM_SERVER_DEV_MODE=1"),
        ({"settings": {"model_config": {"logprobs_mode": "raw_logprobs"}}}, "raw_logprobs"),
    ],
)
def test_a_server_that_was_started_otherwise(nano, monkeypatch, server, says):
    pretend_installed(monkeypatch)
    with FakeVLLM(nano, **server) as started, pytest.raises(UserError, match=says):
        connect(at(started))


def test_weights_can_not_be_sent_from_a_cpu_or_to_a_server_without_transfer(nano, monkeypatch):
    pretend_installed(monkeypatch)
    with FakeVLLM(nano) as server, pytest.raises(UserError, match="needs a CUDA device"):
        VLLMEngine(connect(at(server)), nano, stop_ids=[3])
    without = {"weight_transfer_config": None}
    with (
        FakeVLLM(nano, settings=without) as server,
        pytest.raises(UserError, match="weight-transfer-config"),
    ):
        VLLMEngine(connect(at(server)), OnGPU(nano), stop_ids=[3])


def run_with(engine, tmp_path):
    raw = {
        "run_dir": str(tmp_path / "run"),
        "env": "rlenv/Arithmetic-v0",
        "engine": engine,
        "stages": {"tokenizer": {}},
    }
    return config.parse_run(raw, "test.yaml")


def test_the_setting_is_checked_before_a_run_starts(tmp_path, not_installed):
    from rlenv.trainers import stage_class

    settings = run_with("vllm", tmp_path)
    assert settings.engine.kind == "vllm"
    with pytest.raises(UserError, match="engine=vllm needs the package vllm"):
        runner.check(settings, "test.yaml", stage_class)
    assert run_with({"kind": "vllm", "url": "http://gpu:1"}, tmp_path).engine.url == "http://gpu:1"
    with pytest.raises(UserError, match=r"engine\.kind"):
        run_with("vlm", tmp_path)
    with pytest.raises(UserError, match="dtype is read by the native engine"):
        run_with({"kind": "vllm", "dtype": "bfloat16"}, tmp_path)


def test_the_setting_chooses_the_engine(nano, chat, served, tensors_stay, monkeypatch):
    from rlenv.engines.hf import TransformersEngine

    assert isinstance(checkpoint.engine_for(nano, chat), NativeEngine)
    named = EngineSettings(kind="transformers")
    assert isinstance(checkpoint.engine_for(nano, chat, named), TransformersEngine)
    can = {"avx512_bf16": True, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    half = checkpoint.engine_for(nano, chat, EngineSettings(dtype="bfloat16"))
    assert isinstance(half, NativeEngine)
    assert half.dtype == torch.bfloat16
    can["avx512_bf16"] = False
    with pytest.raises(UserError, match="cpu has no bfloat16 instructions"):
        checkpoint.engine_for(nano, chat, EngineSettings(dtype="bfloat16"))
    gpt2 = AutoModelForCausalLM.from_config(GPT2Config(n_layer=1, n_head=1, n_embd=8))
    assert isinstance(checkpoint.engine_for(gpt2, chat), TransformersEngine)
    for settings in ({"kind": "native"}, {"dtype": "bfloat16"}):
        with pytest.raises(UserError, match="gpt2"):
            checkpoint.engine_for(gpt2, chat, EngineSettings(**settings))
    policy = copy.deepcopy(nano)
    torch.nn.init.normal_(policy.model.norm.weight)
    engine = checkpoint.engine_for(OnGPU(policy), chat, at(served))
    assert isinstance(engine, VLLMEngine)
    assert torch.equal(served.model.model.norm.weight, policy.model.norm.weight)


def test_an_older_trl_is_told_of(monkeypatch):
    from trl.generation.vllm_client import VLLMClient

    pretend_installed(monkeypatch)
    monkeypatch.delattr(VLLMClient, "get_server_info")
    with pytest.raises(UserError, match=r"needs TRL 1\.16 or later"):
        connect(EngineSettings(kind="vllm", url="http://localhost:9"))
