"""Giving a chat template to a tokenizer that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rlenv.common.errors import UserError, did_you_mean

# ChatML (OpenAI 2023) as Qwen and SmolLM write it. The generation tags mark what a loss may cover.
CHATML = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message['content'] + '<|im_end|>' -}}"
    "{%- endif -%}"
    "{{- '\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
_SPECIAL = ("<|im_start|>", "<|im_end|>")
NAMED = {"chatml": CHATML}


def check_template(name: str) -> None:
    """Raise a `UserError` if there is no such template."""
    if name not in NAMED and not Path(name).is_file():
        raise UserError(
            f"there is no chat template {name!r}; give {', '.join(NAMED)} or the path of a Jinja "
            f"file.{did_you_mean(name, NAMED)}"
        )


def give_template(name: str, model: Any, tokenizer: Any) -> None:
    """Set a tokenizer's chat template, and give it and the model the tokens of ChatML if need be.

    New tokens begin at the mean of the embeddings, so that they surprise the model as little as any
    token can (Hewitt 2021).

    Args:
        name: `chatml`, or the path of a Jinja file, whose tokens the tokenizer must have.
        model: its embeddings grow with the tokenizer.
        tokenizer: it is changed.
    """
    if name not in NAMED:
        tokenizer.chat_template = Path(name).read_text(encoding="utf-8")
        return
    tokenizer.chat_template = NAMED[name]
    missing = [token for token in _SPECIAL if token not in tokenizer.get_vocab()]
    tokenizer.add_special_tokens(
        {"eos_token": "<|im_end|>", "extra_special_tokens": list(_SPECIAL[:1])},
        replace_extra_special_tokens=False,
    )
    model.config.eos_token_id = tokenizer.eos_token_id
    if model.generation_config is not None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
    grown = len(tokenizer) > model.get_input_embeddings().num_embeddings
    if grown:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if missing:
        _begin_at_the_mean(model, tokenizer.convert_tokens_to_ids(missing))


@torch.no_grad()
def _begin_at_the_mean(model: Any, ids: list[int]) -> None:
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if layer is not None:
            others = torch.ones(len(layer.weight), dtype=torch.bool)
            others[ids] = False
            layer.weight[ids] = layer.weight[others].mean(0)
