"""Sums with an easy reward, so that a model that can't add yet has something to learn from."""

import rlenv
from rlenv.environments.arithmetic import Arithmetic


@rlenv.register("demo/Digits-v0")
class Digits(Arithmetic):
    """Reply with digits."""

    def score(self, task, reply):
        share = sum(c.isdigit() for c in reply) / max(1, len(reply))
        return rlenv.Reward(share, {"digits": share})
