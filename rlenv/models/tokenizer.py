"""Tokenizers made here, saved in the form that transformers loads."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


def character_tokenizer(
    texts: Iterable[str], *, max_length: int, min_count: int = 2, always: str = ""
) -> Any:
    """Make a tokenizer with one token a character.

    Args:
        texts: the corpus; its characters become the vocabulary.
        max_length: the model's longest sequence in tokens.
        min_count: rarer characters become the unknown token.
        always: characters that are in the vocabulary however rare they are.

    Returns:
        A `PreTrainedTokenizerFast` with special tokens and a chat template.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    characters = sorted({c for c, n in counts.items() if n >= min_count} | set(always))
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


BYTES = 256  # tokens that every byte-level vocabulary has


def byte_tokenizer(texts: Iterable[str], *, vocabulary: int, max_length: int) -> Any:
    """Learn byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019, section 2.2).

    Every string can be written, and comes back as it was. Each digit is a token of its own, so
    that numbers of any length are read the same way; letters, digits, signs and white space are
    never joined, a space before a word aside.

    Args:
        texts: the corpus.
        vocabulary: number of tokens, 256 for the bytes and the rest learned; the special and chat
            tokens come on top. Fewer are learned where the corpus has too few pairs.
        max_length: the model's longest sequence in tokens.

    Returns:
        A `PreTrainedTokenizerFast` with special tokens and a chat template. Call it with
        `split_special_tokens=True` where text must not be able to spell a special token.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocabulary < BYTES:
        raise ValueError(f"a byte-level vocabulary has {BYTES} tokens or more, not {vocabulary}")
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    core.decoder = decoders.ByteLevel()
    special = [*SPECIAL, *ROLES]
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary + len(special),
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return with_chat(core, max_length=max_length)


@dataclass(frozen=True)
class TokenizerReport:
    """How a tokenizer does on texts.

    Attributes:
        vocabulary: number of tokens, special ones included.
        bytes_per_token: UTF-8 bytes of the texts over their tokens; the higher, the shorter a
            text is to a model.
        tokens_per_word: over what white space separates.
        unused: share of the vocabulary, special tokens aside, that the texts never use.
        exact: share of the texts that come back as they were.
    """

    vocabulary: int
    bytes_per_token: float
    tokens_per_word: float
    unused: float
    exact: float


def tokenizer_report(tokenizer: Any, texts: Sequence[str]) -> TokenizerReport:
    """Measure a tokenizer on texts, best on ones that it was not learned from.

    Args:
        tokenizer: any tokenizer of transformers.
        texts: at least one, not all of them empty.
    """
    encoded = tokenizer(
        list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    rows = encoded["input_ids"]
    tokens = sum(map(len, rows))
    used = set(itertools.chain.from_iterable(rows))
    ordinary = len(tokenizer) - len(tokenizer.all_special_tokens)
    same = sum(
        tokenizer.decode(ids, skip_special_tokens=False) == text
        for ids, text in zip(rows, texts, strict=True)
    )
    return TokenizerReport(
        vocabulary=len(tokenizer),
        bytes_per_token=sum(len(text.encode()) for text in texts) / max(1, tokens),
        tokens_per_word=tokens / max(1, sum(len(text.split()) for text in texts)),
        unused=1 - len(used - set(tokenizer.all_special_ids)) / max(1, ordinary),
        exact=same / len(texts),
    )
