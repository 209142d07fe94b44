"""Tokenizers made here, saved in the form that transformers loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

SPECIAL = ("<|pad|>", "<|unknown|>", "<|begin|>", "<|end|>")
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")

# One token opens a message and one closes it; the generation tags mark what a loss may cover.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def character_tokenizer(texts: Iterable[str], *, max_length: int, min_count: int = 2) -> Any:
    """Make a tokenizer with one token a character.

    Args:
        texts: the corpus; its characters become the vocabulary.
        max_length: the model's longest sequence in tokens.
        min_count: rarer characters become the unknown token.

    Returns:
        A `PreTrainedTokenizerFast` with special tokens and a chat template.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    characters = sorted(c for c, n in counts.items() if n >= min_count)
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *ROLES, *characters])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unknown|>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), behavior="isolated")
    core.decoder = decoders.Fuse()
    return with_chat(core, max_length=max_length)


def with_chat(core: Any, *, max_length: int) -> Any:
    """Wrap a `tokenizers.Tokenizer` for transformers, with special tokens and a chat template."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        unk_token="<|unknown|>",
        extra_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
