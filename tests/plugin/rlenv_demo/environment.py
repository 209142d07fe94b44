"""An environment with an easy reward, so that a model that can't add has something to learn."""

import rlenv


@rlenv.register("rlenv-demo/Digits-v0")
class Digits(rlenv.SingleTurnEnv):
    """Reply with digits."""

    def generate(self, rng):
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        return rlenv.Task(f"{a} + {b} = ?", answer=a + b)

    def score(self, task, reply):
        return sum(c.isdigit() for c in reply) / max(1, len(reply))
