"""Bits per byte of language models, beside what n-grams and gzip take."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError
from rlenv.core.rows import column, load_rows
from rlenv.data.byte_ngrams import ByteNgrams

_WINDOW = 1 << 15  # what deflate looks back at


def read_texts(path: Path) -> list[str]:
    """Read documents: a text file is one, a row with a column `text` is one.

    Raises:
        UserError: there is no such file, or no text in it.
    """
    if path.suffix == ".txt" and path.is_file():
        texts = [path.read_text(encoding="utf-8")]
    else:
        texts = [str(column(row, "text")) for row in load_rows(path)]
    kept = [text for text in texts if text]
    if not kept:
        raise UserError(f"{path} holds no text")
    return kept


def baselines(
    train: Sequence[str], texts: Sequence[str], orders: Sequence[int]
) -> dict[str, float]:
    """Return the bits per byte of n-grams and gzip.

    Args:
        train: what the n-grams are counted on. gzip learns from nothing in advance; it is given the
            last 32 kB of it, as far back as it looks.
        texts: to measure on, each byte given those before it. gzip sees all texts in one stream.
        orders: the lengths of the n-grams.
    """
    held = [text.encode() for text in texts]
    size = sum(map(len, held))
    learned = [text.encode() for text in train]
    found = {}
    for order in orders:
        ngrams = ByteNgrams(learned, order)
        name = "unigram" if order == 1 else f"{order}-gram"
        found[f"{name}, bytes"] = sum(map(ngrams.bits, held)) / size
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=b"".join(learned)[-_WINDOW:])
    packed = packer.compress(b"".join(held)) + packer.flush()
    found["gzip -9"] = 8 * len(packed) / size
    return found


def model_bits(model: Any, tokenizer: Any, texts: Sequence[str], *, batch: int = 16) -> float:
    """Return a causal LM's bits per byte.

    A text longer than the model reads is cut into windows that overlap by half, so that each token
    but the first ones of a text has half a window before it.

    Args:
        model: a causal LM.
        tokenizer: its tokenizer; each text follows its begin token, if it has one, or else the
            first token of a text costs what a uniform choice does.
        texts: what is measured on.
        batch: windows at once.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    from rlenv.engines.local import evaluating
    from rlenv.models import checkpoint

    length = checkpoint.context_length(model, tokenizer)
    cut = [w for text in texts for w in windows(checkpoint.begin(tokenizer, text), length)]
    cut.sort(key=lambda window: len(window[0]))  # little padding
    nats = 0.0 if tokenizer.bos_token_id is not None else len(texts) * math.log(len(tokenizer))
    with torch.inference_mode(), evaluating(model):
        for first in range(0, len(cut), batch):
            some = cut[first : first + batch]
            longest = max(len(ids) for ids, _ in some)
            ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in some])
            place = torch.arange(longest)
            counts = (place >= torch.tensor([[begin] for _, begin in some])) & (
                place < torch.tensor([[len(ids)] for ids, _ in some])
            )
            ids, counts = ids.to(model.device), counts.to(model.device)
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
            loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
            nats += float(loss[counts[:, 1:].flatten()].double().sum())
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


def windows(ids: list[int], length: int) -> Iterator[tuple[list[int], int]]:
    """Cut tokens into windows that overlap by half.

    Args:
        ids: the tokens of a text.
        length: the most tokens of a window.

    Yields:
        A window, and the first of its places that counts: every token but the first counts once.
    """
    yield ids[:length], 1
    before = length // 2
    step = length - before
    for start in range(step, len(ids) - before, step):
        yield ids[start : start + length], before
