"""A stage that multiplies what a model says by a factor, which makes it surer or less sure."""

import rlenv
from rlenv.models import checkpoint


class SharpenSettings(rlenv.Settings):
    """factor: what the weights of the last norm are multiplied by."""

    factor: float = 2.0


@rlenv.register_stage("sharpen")
class Sharpen(rlenv.Stage[SharpenSettings]):
    """Make a policy surer of what it says."""

    needs = "chat model"
    gives = "chat model"
    Settings = SharpenSettings

    def plan(self):
        return f"the last norm times {self.settings.factor:g}", "-"

    def run(self, context):
        model, tokenizer = checkpoint.load(context.source, device=context.device)
        model.base_model.norm.weight.data *= self.settings.factor
        checkpoint.save(model, tokenizer, context.out)
        context.log(1, {"factor": self.settings.factor})
