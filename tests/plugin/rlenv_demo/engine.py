"""An engine that generates from a copy of the weights, as a server would, and counts updates."""

import copy
from pathlib import Path

import rlenv
from rlenv.engines.hf import TransformersEngine


@rlenv.register_engine("copying")
class Copying(rlenv.Engine):
    """Options: `log`, a file that takes a line for each update of the weights."""

    holds_weights = True
    importance_cap = 3.0

    def __init__(self, model, setup):
        self.model = copy.deepcopy(model)
        self.log = Path(setup.settings.options["log"])
        self.inner = TransformersEngine(
            self.model, stop_ids=setup.stop_ids, tokenizer=setup.tokenizer
        )

    @classmethod
    def build(cls, model, setup):
        return cls(model, setup)

    @classmethod
    def check(cls, settings):
        if "log" not in settings.options:
            raise rlenv.UserError("the engine copying needs engine.options.log, a file")

    def update_weights(self, state):
        self.model.load_state_dict(state)
        with self.log.open("a") as log:
            log.write("updated\n")

    def generate(self, requests, sampling):
        return self.inner.generate(requests, sampling)
