"""An algorithm that registers advantages alone: the loss and its defaults are GRPO's."""

from rlenv.trainers.rl import register_advantages


@register_advantages("sign", clip_high=0.3)
def better_or_worse(rewards, mask):
    mean = (rewards * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    return (rewards - mean).sign() * mask
