"""LoRA adapters and GGUF files as models to evaluate, against what made them."""

import json
import shutil

import numpy as np
import pytest
import torch

from rlenv.cli import eval as evaluation
from rlenv.common.errors import UserError
from rlenv.models import checkpoint
from rlenv.models.digest import digest

FEW = ["rlenv/Arithmetic-v0", "--tasks", "4", "--samples", "1", "--max-tokens", "4"]


@pytest.fixture(scope="module")
def adapter(finished_run, tmp_path_factory):
    """A LoRA adapter of the finished run's checkpoint, with weights that change something."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    base = finished_run / "sft"
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    torch.manual_seed(0)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("adapter") / "lora"
    model.save_pretrained(folder)
    return folder, model.eval()


def test_a_lora_adapter_is_merged_into_its_model(adapter, finished_run):
    folder, wrapped = adapter
    model, tokenizer = checkpoint.load(str(folder))
    ids = torch.tensor([tokenizer("1 + 2 = ?")["input_ids"]])
    with torch.no_grad():
        ours, theirs = model(ids).logits, wrapped(ids).logits
        plain = checkpoint.load(str(finished_run / "sft"))[0](ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (plain - theirs).abs().max() > 0.1


def test_a_lora_adapter_is_evaluated(adapter, capsys, tmp_path):
    folder, _ = adapter
    assert evaluation.main([str(folder), *FEW, "--json", "--output", str(tmp_path / "out")]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    assert model["kind"] == "adapter"
    assert model["base"]["digest"]


@pytest.mark.parametrize(
    ("base", "says"), [("/no/such/base", "does not exist"), (None, "does not name the model")]
)
def test_an_adapter_without_its_model(adapter, capsys, tmp_path, base, says):
    lost = tmp_path / "lost"
    shutil.copytree(adapter[0], lost)
    settings = json.loads((lost / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = base
    (lost / "adapter_config.json").write_text(json.dumps(settings))
    assert evaluation.main([str(lost), *FEW]) == 2
    assert says in capsys.readouterr().err


NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    name = name.replace("model.layers.", "blk.")
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


@pytest.fixture(scope="module")
def qwen():
    """A small Qwen2 over bytes, with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=260,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    return Qwen2ForCausalLM(config).eval()


def write_gguf(model, path, quantization):
    """Write a model as GGUF, matrices quantized."""
    gguf = pytest.importorskip("gguf")
    from gguf.quants import quantize
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    c = model.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("small")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    tokens = [*bytes_to_unicode().values(), "<|endoftext|>", "<|im_start|>", "<|im_end|>", "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3] * 3 + [1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(258)
    writer.add_pad_token_id(256)
    writer.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    for name, weight in model.state_dict().items():
        array = weight.numpy().astype(np.float32)
        if array.ndim == 2 and quantization != "F32":
            kind = gguf.GGMLQuantizationType[quantization]
            writer.add_tensor(gguf_name(name), quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name(name), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(("quantization", "error"), [("F32", 1e-4), ("Q8_0", 0.3)])
def test_a_gguf_file_is_the_model_it_was_made_from(qwen, tmp_path, quantization, error):
    path = tmp_path / "small.gguf"
    write_gguf(qwen, path, quantization)
    model, tokenizer = checkpoint.load(str(path))
    ids = tokenizer("ab + c")["input_ids"]
    assert ids[0] == 259  # the merge is applied
    assert tokenizer.decode(ids) == "ab + c"
    with torch.no_grad():
        ours, theirs = (m(torch.tensor([ids])).logits for m in (model, qwen))
    assert (ours - theirs).abs().max() < error


def test_a_gguf_file_is_evaluated(qwen, tmp_path, capsys):
    path = tmp_path / "small.gguf"
    write_gguf(qwen, path, "Q8_0")
    assert evaluation.main([str(path), *FEW, "--json", "--output", str(tmp_path / "out")]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    assert model["kind"] == "gguf"
    assert model["digest"] == digest(path)


def test_files_that_are_no_gguf(tmp_path, capsys):
    path = tmp_path / "small.gguf"
    assert evaluation.main([str(path), *FEW]) == 2
    assert "does not exist" in capsys.readouterr().err
    path.write_bytes(b"GGUF, but not really")
    with pytest.raises(UserError, match="could be loaded"):
        checkpoint.load(str(path))


def test_a_digest_tells_files_apart(tmp_path):
    small, large = tmp_path / "a", tmp_path / "b"
    small.write_bytes(b"one")
    before = digest(small)
    small.write_bytes(b"two")
    assert digest(small) != before
    with large.open("wb") as file:
        file.truncate(65 * 2**20)  # zeros that take no space
    before = digest(large)
    with large.open("r+b") as file:
        file.seek(large.stat().st_size - 10)
        file.write(b"x")
    assert digest(large) != before
