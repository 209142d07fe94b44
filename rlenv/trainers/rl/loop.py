"""The on-policy loop: sample tasks, roll out groups, estimate advantages, step.

The algorithm is named by the settings and lives in `rlenv.trainers.rl.algorithms`; the loop only
knows that there are advantages and a loss of each token.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState

from rlenv.common.errors import RunFailed, UserError
from rlenv.core.trajectory import Group
from rlenv.models import checkpoint
from rlenv.run.stage import Context
from rlenv.trainers.common.checkpointing import AcceleratedState, resumable_steps
from rlenv.trainers.common.validation import REWARD, BestCheckpoint, check_measured, component
from rlenv.trainers.rl.advantages import AdvantageEstimator, TrainingBatch
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.learner import Learner, LossExploded
from rlenv.trainers.rl.monitors import Monitor
from rlenv.trainers.rl.policy import Policy
from rlenv.trainers.rl.settings import OnPolicySettings
from rlenv.trainers.rl.worker import RolloutWorker, mean

_FIRST_ONLY = "sampling/"  # measured before the first optimizer step on a rollout batch


class Loop:
    """One stage's policy, rollouts and learner, and the steps they take together.

    Args:
        settings: of the stage.
        context: of the stage.
    """

    def __init__(self, settings: OnPolicySettings, context: Context) -> None:
        self.s, self.context = settings, context
        device = checkpoint.pick_device(context.device)
        AcceleratorState._reset_state()  # else the precision of an earlier stage's trainer stays
        self.accelerator = Accelerator(cpu=device == "cpu")
        here = str(self.accelerator.device) if context.processes.count > 1 else device
        assert context.source is not None
        self.policy = Policy(
            context.source,
            settings,
            here,
            context.seed,
            engine=context.engine,
            pushes=context.processes.main,
        )
        check_sharding(self.accelerator, self.policy)
        self.worker = RolloutWorker(context, settings, self.policy)
        self.learner = Learner(self.policy, settings, self.accelerator)
        self.advantages = AdvantageEstimator(settings, self.learner, self.policy.pad)
        gold = settings.gold_component
        self.monitor = Monitor(component(gold) if gold else None)
        by = component(settings.keep_best) if isinstance(settings.keep_best, str) else REWARD
        self.best = BestCheckpoint(context.state, by) if settings.keep_best else None
        self.pushed = False

    def run(self) -> None:
        """Take all steps and leave the checkpoint."""
        s, context = self.s, self.context
        sizes = {name: size / 1e6 for name, size in self.worker.memory.items()}
        words = ", ".join(f"{name} {size:,.1f} MB" for name, size in sizes.items())
        context.display.say(f"{context.stage:<9} weights: {words}")
        if s.train_only is not None:
            on, every = self.policy.trained_weights()
            context.display.say(f"{context.stage:<9} trained: {on:,} of {every:,} weights")
        state = AcceleratedState(self.accelerator, self.learner.kl, self.worker, self.monitor)
        for step in resumable_steps(context, s.steps, state, save_every=s.save_every):
            evaluating = (step + 1) % s.eval_every == 0 or step in (0, s.steps - 1)
            metrics, episodes = self.step(step, with_reference_kl=evaluating)
            if evaluating:
                self.push()
                metrics |= self.worker.evaluate()
                if s.gold_component is not None:
                    check_measured("gold_component", component(s.gold_component), metrics)
                self.keep(step, metrics)
                context.keep_episodes(step + 1, episodes)
            if step == 0:
                metrics |= {f"memory/{name}_mb": size for name, size in sizes.items()}
            context.log(step + 1, metrics)
            if self.check_alarms(step, metrics):
                break
        weights = self.weights()
        if not context.processes.main:
            return
        if self.best is not None:
            weights = self.best.load() or weights
            context.display.say(self.best.summary(context.stage))
        self.policy.save(context.out, weights)
        if self.best is not None:
            self.best.write_metadata(context.out)

    def check_alarms(self, step: int, metrics: dict[str, float]) -> bool:
        """Raise alarms and do what the settings say about them; returns whether to stop there."""
        stop = False
        for alert in self.monitor.check(step + 1, metrics):
            self.context.warn(step + 1, alert.message)
            action = self.s.alarms.get(alert.alarm, "warn")
            if action == "raise":
                self.learner.kl.value *= 2
                self.context.warn(step + 1, f"the KL now costs {self.learner.kl.value:g}")
            elif action == "stop":
                stop = True
                self.context.warn(step + 1, f"the stage ends here: {alert.alarm} is set to stop it")
        return stop

    def keep(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the weights as they are after a step, if none did better so far."""
        if self.best is None:
            return
        weights = self.weights()  # every process has its part in it
        if self.context.processes.main:
            self.best.rewind(step)
            self.best.offer(step + 1, metrics, weights)

    def weights(self) -> dict[str, Any]:
        """Return the weights of what is trained, gathered from all processes."""
        state: dict[str, Any] = self.accelerator.get_state_dict(self.learner.trained)
        return state

    def push(self) -> None:
        """Send the weights, as they are now, to a server that generates with its own copy."""
        if self.policy.is_served and not self.pushed:
            self.policy.push(self.weights())
            self.context.processes.wait()  # none may sample from the weights before
        self.pushed = True

    def step(
        self, step: int, *, with_reference_kl: bool
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Roll out groups, and train on them.

        Args:
            step: decides, with the seed, which tasks are played and what is sampled.
            with_reference_kl: measure the KL from the policy that the stage began with, which costs
                a forward pass, even where nothing depends on it.

        Returns:
            The step's metrics, and some of its episodes.

        Raises:
            RunFailed: too many rollouts could not be judged, or the loss exploded.
        """
        began = time.monotonic()
        self.push()
        rollouts = self.worker.collect(step, self.advantages.has_signal)
        rolled_out = time.monotonic()
        training = self.advantages.estimate(rollouts.groups, with_reference_kl=with_reference_kl)
        update = {} if training.batch is None else self.update(training, step)
        ended = time.monotonic()
        metrics = {
            **rollouts.describe(self.advantages.has_signal(rollouts.groups)),
            **rollouts.metrics,
            "groups/trained": float(len({group for group, _ in training.sources})),
            **update,
            **training.metrics,
            "learning_rate": self.s.learning_rate * self.rate(step),
            "tokens_per_second": rollouts.tokens / (rolled_out - began),
            "step_time": ended - began,
            "time/rollout": rolled_out - began,
            "time/train": ended - rolled_out,
        }
        return metrics, self.episodes(rollouts.groups, training)

    def update(self, training: TrainingBatch, step: int) -> dict[str, float]:
        """Take the optimizer steps of one rollout batch; return their mean metrics."""
        found: list[dict[str, float]] = []
        self.pushed = False
        for _ in range(self.s.epochs):
            for minibatch in training.minibatches(self.s.minibatches):
                try:
                    found.append(self.learner.step(minibatch, self.rate(step)))
                except LossExploded as error:
                    raise RunFailed(self.explain(error, minibatch, step)) from None
        metrics = {
            name: found[0][name] if name.startswith(_FIRST_ONLY) else mean([m[name] for m in found])
            for name in found[0]
        }
        if "kl" in metrics and self.s.kl.coefficient:
            self.learner.kl.follow(metrics["kl"])
            metrics["kl_coefficient"] = self.learner.kl.value
        return metrics

    def explain(self, error: LossExploded, batch: Batch, step: int) -> str:
        """Keep the batch that the loss exploded on, and say what can be done."""
        path = self.context.run.path / "failed" / f"{self.context.stage}-step-{step + 1}.pt"
        if self.context.processes.main:
            path.parent.mkdir(exist_ok=True)
            torch.save({f.name: getattr(batch, f.name) for f in fields(batch)}, path)
        return (
            f"the {error} at step {step + 1}; its batch is kept in {path}. A lower learning_rate, "
            "a lower max_grad_norm or fewer minibatches usually helps; start again in another "
            "run_dir"
        )

    def rate(self, step: int) -> float:
        """Return the factor of the learning rates at a step."""
        s = self.s
        falling = (s.steps - step) / s.steps if s.schedule == "linear" else 1.0
        return min(falling, (step + 1) / (s.warmup_steps + 1))

    def episodes(self, groups: Sequence[Group], training: TrainingBatch) -> list[dict[str, Any]]:
        """Return some of a step's episodes as plain values, with their advantages."""
        row_of = {source: row for row, source in enumerate(training.sources)}
        kept = []
        env = self.worker.training()[0].take(1)[0]
        for number, group in enumerate(groups[: self.s.keep_episodes]):
            row = row_of.get((number, 0))
            advantages = None
            if row is not None and training.batch is not None:
                one = training.batch.rows(torch.tensor([row]))
                by_turn = one.sum_by_turn(one.advantages) / one.sum_by_turn(one.mask).clamp(min=1)
                advantages = by_turn[0].tolist()
            kept.append(group.trajectories[0].record(env, advantages))
        return kept


def check_sharding(accelerator: Accelerator, policy: Policy) -> None:
    """Refuse what can't be where weights are spread over processes.

    Raises:
        UserError: the engine reads weights that no process holds whole, or there are two models.
    """
    kind = accelerator.distributed_type
    if kind not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return
    plugin = accelerator.state.deepspeed_plugin
    if not policy.is_served and (plugin is None or plugin.zero_stage == 3):
        raise UserError(
            f"{kind.value} spreads the weights over the processes, so that none can generate with "
            "them; set engine: vllm, or launch with configs/accelerate/data_parallel.yaml"
        )
    if policy.critic is not None:
        raise UserError(f"{kind.value} trains one model: set critic.shared: true")
