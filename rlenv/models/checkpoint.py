"""Checkpoint folders in Hugging Face format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from rlenv.common.errors import UserError
from rlenv.common.extras import require
from rlenv.common.files import folder_atomically
from rlenv.common.hub import check_reachable, is_reachable
from rlenv.engines import factory
from rlenv.engines.base import Engine
from rlenv.engines.settings import EngineSettings
from rlenv.models.checkpoint_folder import adapter_base, local_checkpoint
from rlenv.models.weights import check_loaded, check_weights


def load_tokenizer(source: str) -> Any:
    """Load a tokenizer: of a folder, a LoRA adapter, a GGUF file, or by hub id.

    Raises:
        UserError: there is none.
    """
    from transformers import AutoTokenizer

    where, options = _places(source)
    base = adapter_base(Path(where).expanduser())
    if base is not None and not (Path(where) / "tokenizer_config.json").is_file():
        return load_tokenizer(base)
    check_reachable(where)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
    except Exception as error:  # noqa: BLE001 damaged files make the loaders raise anything
        raise UserError(
            f"no tokenizer could be loaded from {source}: {_first(error)}; {_mend(source)}"
        ) from None
    if len(tokenizer) == 0:
        raise UserError(f"the tokenizer of {source} has no tokens; {_mend(source)}")
    return tokenizer


def load(source: str, *, device: str = "auto") -> tuple[Any, Any]:
    """Load a causal LM and its tokenizer.

    The weights of a LoRA adapter are merged into those of its model; those of a GGUF file are
    unpacked from their quantized blocks.

    Args:
        source: a checkpoint folder, one with a LoRA adapter, a GGUF file, or a hub id.
        device: `auto` takes a GPU where there is one.

    Returns:
        The model, in float32 on a CPU and as saved elsewhere, and the tokenizer.

    Raises:
        UserError: there is no such checkpoint, or no such device.
    """
    local_checkpoint(source, needs_chat=False)
    chosen = pick_device(device)
    tokenizer = load_tokenizer(source)
    model = _load_model(source, "float32" if chosen == "cpu" else "auto")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise UserError(
            f"the tokenizer of {source} has {len(tokenizer)} tokens but the model only "
            f"{model.get_input_embeddings().num_embeddings}: they do not belong together"
        )
    return model.to(chosen), tokenizer


def _load_model(source: str, dtype: str) -> Any:
    base = adapter_base(Path(source).expanduser())
    if base is not None:
        return _with_adapter(_load_model(base, dtype), source)
    from transformers import AutoModelForCausalLM

    where, options = _places(source)
    if "gguf_file" in options:
        from transformers import GgufConfig

        options["quantization_config"] = GgufConfig(dequantize=True)
    check_reachable(where)
    check_weights(source)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            where, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    except Exception as error:  # noqa: BLE001 damaged files make the loaders raise anything
        raise UserError(
            f"no model could be loaded from {source}: {_first(error)}; {_mend(source)}"
        ) from None
    check_loaded(source, model, found)
    return model


def _with_adapter(model: Any, source: str) -> Any:
    require("peft", f"the LoRA adapter {source}")
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, source).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"the adapter {source} does not fit its model: {_first(error)}") from None


def _places(source: str) -> tuple[str, dict[str, Any]]:
    """Return where transformers finds a model, and what else it must be told.

    Raises:
        UserError: a GGUF file can't be read here.
    """
    if not source.endswith(".gguf"):
        return source, {}
    require("gguf", f"reading {source}")
    path = Path(source).expanduser()
    return str(path.parent), {"gguf_file": path.name}


def save(model: Any, tokenizer: Any, folder: Path, *, state: dict[str, Any] | None = None) -> None:
    """Save model and tokenizer so that transformers loads them; all or nothing.

    Args:
        model: a transformers model.
        tokenizer: its tokenizer.
        folder: where to.
        state: the weights, where the model's own are spread over several processes.
    """
    with folder_atomically(folder) as temporary:
        model.save_pretrained(temporary, state_dict=state, safe_serialization=True)
        tokenizer.save_pretrained(temporary)


class Speaks(Protocol):
    """What an engine must know of how a model is talked to."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""

    @property
    def stop_ids(self) -> Sequence[int]:
        """The tokens that end a reply."""


@dataclass
class Continuing:
    """How a model without a chat template is talked to: it goes on with a text.

    Args:
        tokenizer: its tokenizer.
    """

    tokenizer: Any

    @property
    def stop_ids(self) -> list[int]:
        """The token that ends a text."""
        end = self.tokenizer.eos_token_id
        return [] if end is None else [end]


def begin(tokenizer: Any, text: str, *, mark: bool = True) -> list[int]:
    """Return the tokens of a text that a model is to go on with.

    Args:
        tokenizer: of the model.
        text: may spell no special token; one that does is read as plain text.
        mark: put the tokenizer's begin token first, as every document in pretraining has it.
    """
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    ids = encoded["input_ids"]
    return [tokenizer.bos_token_id, *ids] if mark and tokenizer.bos_token_id is not None else ids


def engine_for(
    model: Any, chat: Speaks, settings: EngineSettings | None = None, *, pushes: bool = True
) -> Engine:
    """Return the engine that generates a model's replies.

    Args:
        model: the policy; an engine that holds its own weights is sent them.
        chat: its chat format, or `Continuing`.
        settings: which engine; by default the fastest that runs this model here.
        pushes: whether this process is the one that sends a server its weights.

    Raises:
        UserError: the engine does not run this model, or its server does not answer.
    """
    return factory.make(
        model,
        settings,
        stop_ids=chat.stop_ids,
        tokenizer=chat.tokenizer,
        sends_weights=pushes,
    )


def pick_device(device: str) -> str:
    """Return the torch device for a setting; `auto` takes a GPU where there is one.

    Raises:
        UserError: the device is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device is cuda but torch finds no GPU; set device=cpu or device=auto")
    try:
        return str(torch.device(device))
    except RuntimeError:
        raise UserError(f"{device!r} is no torch device; try cpu, cuda or auto") from None


def context_length(model: Any, tokenizer: Any) -> int:
    """Return the longest sequence that model and tokenizer both allow, in tokens."""
    return min(int(model.config.max_position_embeddings), int(tokenizer.model_max_length))


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _mend(source: str) -> str:
    """Return what to do about a checkpoint that can't be loaded."""
    if Path(source).expanduser().exists():
        return "copy it again, or save it again from what it was made of"
    if not is_reachable():
        return "the hub can't be reached over the network from here, so give a checkpoint folder"
    return "give a checkpoint folder, or the id of a causal language model on the hub"
