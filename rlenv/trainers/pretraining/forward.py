"""The loss of rows: a Llama's forward pass in few large operations, and a loss without logits.

What transformers computes, in fewer passes over memory: projections that read the same input are
one product, rows without a border between documents need no mask, and the logits exist only a
chunk at a time. Models of other families run through transformers, with the same masks.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rlenv.common.errors import UserError
from rlenv.trainers.pretraining.cross_entropy import linear_cross_entropy
from rlenv.trainers.pretraining.rows import NO_LABEL, PackedRows

_FEW = 0.75  # share of labels


def row_loss(model: Any, rows: PackedRows, *, bf16: bool = False) -> Tensor:
    """Return the sum of the cross-entropies of all labels, in nats.

    Args:
        model: a causal LM of transformers.
        rows: on the model's device.
        bf16: compute matrix products in bfloat16.
    """
    with torch.autocast(rows.labels.device.type, torch.bfloat16, enabled=bf16):
        hidden = hidden_states(model, rows).flatten(0, 1)
    labels = rows.labels.flatten()
    if rows.asked < _FEW * len(labels):  # picking them out costs less than asking for all
        asked = labels != NO_LABEL
        hidden, labels = hidden[asked], labels[asked]
    head = model.get_output_embeddings().weight
    return linear_cross_entropy(hidden, head, labels, torch.bfloat16 if bf16 else head.dtype)


def check(model: Any) -> None:
    """Raise a `UserError` for a model whose loss is computed in another way."""
    config = model.config.get_text_config()
    if getattr(config, "final_logit_softcapping", None):
        raise UserError(
            f"a {model.config.model_type} model caps its logits, which pretraining does not; start "
            "from another model"
        )


def hidden_states(model: Any, rows: PackedRows) -> Tensor:
    """Return the last hidden states, (B, T, width), after the last norm."""
    if _is_plain_llama(model):
        return _llama(model, rows)
    body = model.get_decoder()
    out = body(
        input_ids=rows.input_ids,
        attention_mask=rows.visible(),
        position_ids=rows.positions,
        use_cache=False,
    )
    hidden: Tensor = out.last_hidden_state
    return hidden


def _is_plain_llama(model: Any) -> bool:
    config = model.config
    return (
        type(model).__name__ == "LlamaForCausalLM"
        and not config.attention_bias
        and not config.mlp_bias
        and config.hidden_act == "silu"
    )


def _llama(model: Any, rows: PackedRows) -> Tensor:
    """Run a decoder (Touvron et al. 2023, section 2.2)."""
    body, config = model.model, model.config
    turn = config.num_attention_heads + config.num_key_value_heads  # the heads that are rotated
    # rows without a border first: they need no mask
    plain = rows.plain()
    order = (~plain).long().argsort(stable=True)
    rows, count = rows.take(order), int(plain.sum())
    mask = rows.take(slice(count, None)).visible() if count < len(rows) else None

    x = body.embed_tokens(rows.input_ids)
    cos, sin = _tables(body.rotary_emb, x, rows.positions)
    for layer in body.layers:
        attention, mlp = layer.self_attn, layer.mlp
        y = _norm(x, layer.input_layernorm)
        weights = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
        qkv = F.linear(y, torch.cat(weights))
        qkv = qkv.view(*qkv.shape[:-1], -1, attention.head_dim)
        q, k, v = _rotate(qkv, turn, config.num_attention_heads, cos, sin)
        mixed = _attend(q, k, v, mask, count, causal=rows.causal)
        x = x + F.linear(mixed, attention.o_proj.weight)
        y = _norm(x, layer.post_attention_layernorm)
        gate = F.linear(y, mlp.gate_proj.weight)
        x = x + F.linear(F.silu(gate) * F.linear(y, mlp.up_proj.weight), mlp.down_proj.weight)
    x = _norm(x, body.norm)
    return x[order.argsort()] if mask is not None and count else x


def _norm(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _tables(rotary: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and signed sines, (B, T, 1, D).

    A pair (a, b) turns into (a cos - b sin, b cos + a sin); the halves of a head hold the a and
    the b. Swapping the halves leaves the sign, which goes into the table.
    """
    cos, sin = rotary(x, positions)
    half = sin.shape[-1] // 2
    sin = torch.cat([-sin[..., :half], sin[..., half:]], -1)
    return cos[:, :, None], sin[:, :, None]


def _rotate(
    qkv: Tensor, turn: int, heads: int, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn queries and keys (Su et al. 2021); return queries, keys, values (B, heads, T, D)."""
    # split and not sliced: the gradient of a slice is filled up with zeros first
    qk, v = torch.split(qkv, [turn, qkv.shape[2] - turn], 2)
    qk = torch.addcmul(qk * cos, qk.roll(qkv.shape[-1] // 2, -1), sin).to(v.dtype)
    q, k = torch.split(qk, [heads, turn - heads], 2)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, count: int, *, causal: bool
) -> Tensor:
    """Mix values, (B, T, width); the first `count` rows need no mask, the others have one."""
    grouped = q.shape[1] != k.shape[1]
    parts = []
    if count:
        parts.append(
            F.scaled_dot_product_attention(
                q[:count], k[:count], v[:count], is_causal=causal, enable_gqa=grouped
            )
        )
    if mask is not None:
        parts.append(
            F.scaled_dot_product_attention(
                q[count:], k[count:], v[count:], attn_mask=mask, enable_gqa=grouped
            )
        )
    mixed = parts[0] if len(parts) == 1 else torch.cat(parts)
    return mixed.transpose(1, 2).flatten(2)
