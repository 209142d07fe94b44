"""The on-policy stages, `grpo` and `ppo`: what is checked before they start, and what they promise.

What they do is in `rlenv.trainers.rl.loop`.
"""

from __future__ import annotations

from typing import ClassVar

from rlenv.common.errors import UserError
from rlenv.common.plugins import short_name
from rlenv.core import registry
from rlenv.engines import factory
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.rl.loop import Loop
from rlenv.trainers.rl.settings import OnPolicySettings, PPOSettings


class OnPolicyStage(Stage[OnPolicySettings]):
    """Train a policy on its own rollouts."""

    needs: ClassVar[Artifact] = "chat model"
    gives: ClassVar[Artifact] = "chat model"
    plays: ClassVar[bool] = True
    shared: ClassVar[bool] = True
    Settings = OnPolicySettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        assert env is not None
        c = self.settings.curriculum
        # the ends of a curriculum must exist before anything starts
        for level in [None] if c is None else [c.floor, c.highest, c.evaluated]:
            options = env.options if c is None else {**env.options, c.option: level}
            registry.make(env.id, split="train", **options).tasks.for_training()
            for split in ("train", "validation"):
                if not registry.make(env.id, split=split, **options).tasks.distinct(1):
                    raise UserError(
                        f"no task of {env.id} falls into the {split} split; give it more rows"
                    )

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        size = f"{s.steps} steps of {s.groups} groups x {s.group_size} rollouts"
        return (
            f"{short_name(s.algorithm)}, {size}",
            f"{s.steps * s.groups * s.group_size:,} rollouts",
        )

    def steps(self) -> int:
        """See `Stage.steps`."""
        return self.settings.steps

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        cap = factory.importance_cap(context.engine)
        if cap is not None and s.importance_cap is None:
            s = s.model_copy(update={"importance_cap": cap})
        Loop(s, context).run()


class GRPOStage(OnPolicyStage):
    """GRPO and the algorithms without a critic."""


class PPOStage(OnPolicyStage):
    """PPO."""

    Settings = PPOSettings
