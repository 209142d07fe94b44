"""rlenv's environments in TRL: what `trl.GRPOTrainer` takes to train on one.

    from trl import GRPOConfig, GRPOTrainer
    from rlenv.integrations.trl import TRLAdapter

    adapter = TRLAdapter("rlenv/Arithmetic-v0")
    trainer = GRPOTrainer("my-model", args=GRPOConfig(...), **adapter.trainer_kwargs(tasks=2000))

Rollouts are those of rlenv, of one turn or several: the tokens that the policy sampled reach TRL's
loss as they are, what the environment said is masked out of it, and a reward that could not be
judged leaves the batch. `docs/trl.md` is the page about it.
"""

from rlenv.integrations.trl.adapter import TRLAdapter

__all__ = ["TRLAdapter"]
