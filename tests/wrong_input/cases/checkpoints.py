"""Checkpoints that are damaged, incomplete, or another model's."""

import json
from pathlib import Path
from typing import Any

from tests.wrong_input.cases.stages import stage
from tests.wrong_input.harness import Case, Damage, on_model, on_run

WORDS = ["--tasks", "2", "--samples", "1", "--max-tokens", "2"]


def evaluated(name: str, damage: Damage, *, says: str, code: int = 2) -> Case:
    """Return a case of evaluating a damaged copy of the last checkpoint."""
    words = ["eval", "$here/model", "$digits", *WORDS]
    return Case(f"a checkpoint: {name}", words, says, code=code, damage=on_model(damage))


def trained(name: str, damage: Damage, *, says: str, code: int = 2) -> Case:
    """Return a case of training from a damaged copy of the last checkpoint."""
    return stage(
        f"training from a checkpoint: {name}",
        "grpo",
        "model=$here/model",
        says=says,
        code=code,
        damage=on_model(damage),
    )


def resumed(name: str, damage: Damage, *, says: str, code: int = 2) -> Case:
    """Return a case of going on with a damaged copy of the finished run."""
    return Case(
        f"a run: {name}", ["train", "--resume", "$here/run"], says, code=code, damage=on_run(damage)
    )


def truncate(name: str, share: float) -> Damage:
    """Cut a file short."""

    def done(model: Path) -> None:
        whole = (model / name).read_bytes()
        (model / name).write_bytes(whole[: int(len(whole) * share)])

    return done


def write(name: str, content: str) -> Damage:
    """Replace a file."""
    return lambda folder: (folder / name).write_text(content)


def remove(name: str) -> Damage:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def configured(**changes: Any) -> Damage:
    """Change settings of a model's config.json."""

    def done(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return done


def renamed(rename: Any) -> Damage:
    """Rename weights; those renamed to None are left out."""

    def done(model: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = model / "model.safetensors"
        named = {rename(name): weight for name, weight in load_file(path).items()}
        save_file({k: v for k, v in named.items() if k}, path, metadata={"format": "pt"})

    return done


def wrapped(name: str) -> str:
    """As a model's weights are called that was saved within a wrapper."""
    return f"module.{name}"


def without_a_layer(name: str) -> str | None:
    """Leave out the first layer."""
    return None if ".layers.0." in name else name


def with_one_more(name: str) -> str:
    """Call a weight something that the model does not have."""
    return name.replace("model.norm.weight", "model.nrom.weight")


def reshaped(model: Path) -> None:
    """Give a weight another shape."""
    from safetensors.torch import load_file, save_file

    path = model / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"] = weights["model.norm.weight"][:-1].clone()
    save_file(weights, path, metadata={"format": "pt"})


def not_a_number(model: Path) -> None:
    """Let weights be no numbers, as after a training that exploded."""
    from safetensors.torch import load_file, save_file

    path = model / "model.safetensors"
    weights = {name: weight * float("nan") for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def other_architecture(model: Path) -> None:
    """Let the config name another architecture than the weights are of."""
    configured(model_type="gpt2", architectures=["GPT2LMHeadModel"])(model)


def larger_vocabulary(model: Path) -> None:
    """Let the tokenizer have more tokens than the model."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens([f"<extra{n}>" for n in range(500)])
    tokenizer.save_pretrained(model)


def with_template(text: str) -> Damage:
    """Replace the chat template."""

    def done(model: Path) -> None:
        (model / "chat_template.jinja").unlink(missing_ok=True)
        path = model / "tokenizer_config.json"
        kept = {k: v for k, v in json.loads(path.read_text()).items() if k != "chat_template"}
        path.write_text(json.dumps({**kept, **({"chat_template": text} if text else {})}))

    return done


def adapter(**settings: Any) -> Damage:
    """Leave nothing but the settings of a LoRA adapter."""

    def done(model: Path) -> None:
        for path in model.iterdir():
            path.unlink()
        (model / "adapter_config.json").write_text(json.dumps(settings))

    return done


def without_weights(stage_of_it: str) -> Damage:
    """Delete the weights of a finished stage."""
    return lambda run: (run / stage_of_it / "model.safetensors").unlink()


_WEIGHTS = {
    "weights cut short": (
        truncate("model.safetensors", 0.5),
        "model.safetensors.*(damaged|cut short|copy)",
    ),
    "weights of no byte": (write("model.safetensors", ""), "model.safetensors|damaged"),
    "weights that are a text": (
        write("model.safetensors", "hello, I am no weights at all"),
        "damaged",
    ),
    "no weights": (remove("model.safetensors"), "model.safetensors"),
    "weights of a wrapped model": (renamed(wrapped), r"module\."),
    "a layer that is missing": (renamed(without_a_layer), r"model\.layers\.0"),
    "a weight of another name": (renamed(with_one_more), r"model\.n(ro|or)m\.weight"),
    "a weight of another shape": (reshaped, r"model\.norm\.weight"),
    "weights that are no numbers": (not_a_number, "not finite|nan"),
    "another architecture in its config": (other_architecture, "belong|missing|weights"),
    "a model that is not causal": (
        configured(model_type="vit", architectures=["ViTModel"]),
        "causal|language model",
    ),
    "a model of a type that is none": (configured(model_type="brain"), "brain"),
    "more layers than it has": (
        configured(num_hidden_layers=9, layer_types=None),
        r"model\.layers\.\d",
    ),
    "a larger vocabulary in its config": (
        configured(vocab_size=5000),
        "embed_tokens|vocabulary|shape",
    ),
    "a larger vocabulary than its weights": (larger_vocabulary, "do not belong together"),
    "a config that is no JSON": (write("config.json", "{"), "config.json"),
    "a config of nothing": (write("config.json", "{}"), "config.json|model_type"),
    "a config that is a list": (write("config.json", "[]"), "config.json"),
    "no config": (remove("config.json"), "no config.json"),
    "a tokenizer that is no JSON": (write("tokenizer.json", "{"), "tokenizer"),
    "a tokenizer of nothing": (write("tokenizer.json", ""), "tokenizer"),
    "tokenizer settings that are no JSON": (write("tokenizer_config.json", "{"), "tokenizer"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer"),
    "no chat template": (with_template(""), "no chat template"),
    "a chat template that is broken": (with_template("{% for %}"), "chat template"),
    "a chat template that refuses": (
        with_template("{{ raise_exception('never') }}"),
        "chat template .* refuses",
    ),
    "a chat template that never ends": (
        with_template(
            "{% for i in range(10**9) %}{% for j in range(10**9) %}{% endfor %}{% endfor %}"
        ),
        "chat template.*(end|long|range|seconds)",
    ),
    "a chat template of one word": (with_template("hello"), "chat template"),
    "an adapter of no model": (adapter(peft_type="LORA"), "base_model_name_or_path"),
    "an adapter of a model that is not there": (
        adapter(peft_type="LORA", base_model_name_or_path="/nowhere/at/all"),
        "/nowhere/at/all does not exist",
    ),
    "an adapter whose settings are no JSON": (
        lambda m: (m / "adapter_config.json").write_text("{"),
        "adapter_config.json",
    ),
}

CASES = [
    *(evaluated(name, damage, says=says) for name, (damage, says) in _WEIGHTS.items()),
    *(
        trained(name, *_WEIGHTS[name][:1], says=_WEIGHTS[name][1])
        for name in (
            "weights cut short",
            "weights of a wrapped model",
            "a layer that is missing",
            "another architecture in its config",
            "weights that are no numbers",
            "a chat template that never ends",
        )
    ),
    Case(
        "a GGUF file that is none",
        ["eval", "$here/m.gguf", "$digits"],
        "m.gguf",
        {"m.gguf": "GGUF"},
    ),
    Case(
        "a GGUF file that is not there",
        ["eval", "none.gguf", "$digits"],
        "does not exist; give a GGUF file",
    ),
    Case(
        "a checkpoint of a file",
        ["eval", "$here/model.bin", "$digits"],
        "model.bin.*folder",
        {"model.bin": "x"},
    ),
    Case(
        "a hub id offline",
        ["eval", "nobody/no-model", "$digits"],
        "nobody/no-model.*(network|folder)",
    ),
    Case("a hub id of three parts", ["eval", "a/b/c", "$digits"], "does not exist; give"),
    Case(
        "next of weights of a wrapped model",
        ["next", "1", "--model", "$here/model"],
        r"module\.",
        damage=on_model(renamed(wrapped)),
    ),
    Case(
        "bits of weights of a wrapped model",
        ["bits", "$here/model", "--text", "$here/a.txt"],
        r"module\.",
        {"a.txt": "1 + 1"},
        damage=on_model(renamed(wrapped)),
    ),
    Case(
        "play of weights of a wrapped model",
        ["play", "$digits", "--policy", "$here/model"],
        r"module\.",
        damage=on_model(renamed(wrapped)),
    ),
    Case(
        "synthesize by weights of a wrapped model",
        ["synthesize", "$here/model", "--env", "$digits", "--output", "$here/o.jsonl"],
        r"module\.",
        damage=on_model(renamed(wrapped)),
    ),
    resumed(
        "a finished stage without its weights",
        without_weights("grpo"),
        says="grpo.*(model.safetensors|weights)",
    ),
    resumed(
        "an earlier stage without its weights",
        without_weights("sft"),
        says="sft.*(model.safetensors|weights)",
    ),
    resumed(
        "a finished stage without its folder",
        lambda run: __import__("shutil").rmtree(run / "grpo"),
        says="grpo",
    ),
    resumed("stages that are no JSON", write("stages.json", "{"), says="stages.json"),
    resumed("a config that was emptied", write("config.yaml", ""), says="config.yaml"),
    resumed(
        "results that are no JSON", write("evaluations/grpo/result.json", "{"), says="result.json"
    ),
]
