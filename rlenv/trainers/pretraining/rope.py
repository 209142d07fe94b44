"""Rotary positions for longer texts than a model was trained on."""

from __future__ import annotations

from typing import Any, Literal

from rlenv.common.errors import UserError

Method = Literal["base", "yarn"]


def extended(
    model: Any, length: int, *, first: int, method: Method, base: float | None = None
) -> Any:
    """Return a model of the same weights that takes longer texts.

    Args:
        model: a causal LM of transformers with rotary positions.
        length: that it is to take, in tokens.
        first: that it was trained on.
        method: `base` turns slower at all frequencies but the highest, by a larger base
            (Xiong et al. 2023, section 4.1); `yarn` slows down only the frequencies that have not
            come round within the first length, and sharpens attention (Peng et al. 2023,
            section 3).
        base: the new base of `base`; by default so much larger that the lowest frequency slows
            down by length / first.

    Raises:
        UserError: it has no such positions, or was extended before, or nothing is to be done.
    """
    config = model.config
    if length <= first:
        raise UserError(f"the model takes {first} tokens already; give a length beyond that")
    rope = dict(getattr(config, "rope_parameters", None) or {})
    if rope.get("rope_type") != "default":
        raise UserError(
            f"the positions of this model are {rope.get('rope_type', 'not rotary')}; only plain "
            "rotary ones can be extended"
        )
    factor = length / first
    if method == "yarn":
        rope |= {
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": first,
        }
    else:
        width = getattr(config, "head_dim", None)
        width = width or config.hidden_size // config.num_attention_heads
        rope["rope_theta"] = base or rope["rope_theta"] * factor ** (width / (width - 2))
    made = type(config).from_dict(
        {**config.to_dict(), "rope_parameters": rope, "max_position_embeddings": length}
    )
    longer = type(model)(made).to(next(model.parameters()).device)
    longer.load_state_dict(model.state_dict())
    return longer
