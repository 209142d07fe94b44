"""Optimizer steps: the same ones however a batch is cut, and by however many processes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from rlenv.trainers.common.optimizers import adamw, parameter_groups
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.algorithms.ppo import value_loss
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.forward import Scores, score, score_values
from rlenv.trainers.rl.kl import KLCoefficient, divergence
from rlenv.trainers.rl.policy import Policy
from rlenv.trainers.rl.settings import OnPolicySettings


class LossExploded(Exception):
    """The loss or its gradient is no number that one may step along."""


@dataclass(frozen=True)
class Weights:
    """What each token counts, (B, T): made on a whole batch, so that its parts add up.

    Attributes:
        loss: in the loss.
        token: in a mean over all tokens.
        value: in the value loss, the mean over all states that the critic is asked about.
    """

    loss: Tensor
    token: Tensor
    value: Tensor

    @classmethod
    def of(cls, batch: Batch, s: OnPolicySettings) -> Weights:
        """Make them for a batch."""
        asked = batch.mask if batch.value_mask is None else batch.value_mask
        return cls(
            algorithms.token_weights(batch.mask, s.aggregate, s.max_tokens),
            batch.mask / batch.mask.sum(),
            asked / asked.sum(),
        )

    def rows(self, index: Tensor, live: Tensor, width: int) -> Weights:
        """Return those of some rows and the first columns; 0 in rows that are not live."""
        parts = (self.loss, self.token, self.value)
        return Weights(*((t[index] * live[:, None])[:, :width] for t in parts))

    def to(self, device: Any) -> Weights:
        """Return them on a device."""
        return Weights(self.loss.to(device), self.token.to(device), self.value.to(device))


class Learner:
    """What trains a policy on batches.

    Every process holds the whole batch and computes its share of the rows.

    Args:
        policy: the models.
        settings: of the stage.
        accelerator: what the models and the optimizer are prepared with.

    Attributes:
        kl: the coefficient of the divergence.
    """

    def __init__(
        self, policy: Policy, settings: OnPolicySettings, accelerator: Accelerator
    ) -> None:
        self.policy, self.s, self.accelerator = policy, settings, accelerator
        self.algorithm = algorithms.find(settings.algorithm)
        self.kl = KLCoefficient(settings.kl)
        optimizer = adamw(policy.trained, settings.learning_rate, settings.weight_decay)
        if policy.critic is not None:
            assert settings.critic is not None
            rate = settings.critic.learning_rate or settings.learning_rate
            for group in parameter_groups(policy.critic, rate, settings.weight_decay):
                optimizer.add_param_group(group)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        plugin = getattr(accelerator.state, "deepspeed_plugin", None)
        if plugin is not None:  # which otherwise asks a data loader
            plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = settings.micro_batch
        # together: where weights are sharded, the optimizer is given the shards
        modules = [m for m in (policy.trained, policy.critic) if m is not None]
        *prepared, self.optimizer = accelerator.prepare(*modules, optimizer)
        self.trained, self.critic = (*prepared, None)[:2]

    # scoring: what is known of a batch before the first step on it

    @torch.no_grad()
    def reference_logprobs(self, batch: Batch) -> Tensor:
        """Return the logprobs (B, T) of the policy that the stage began with."""
        with self.policy.reference() as model:
            return self._score_all(batch, lambda part: self._forward(model, part).logprobs)

    @torch.no_grad()
    def logprobs(self, batch: Batch) -> Tensor:
        """Return the logprobs (B, T) of the policy as it is."""
        return self._score_all(batch, lambda part: self._forward(self.trained, part).logprobs)

    @torch.no_grad()
    def values(self, batch: Batch) -> Tensor:
        """Return the critic's values (B, T)."""
        return self._score_all(batch, lambda part: self._values(part, None))

    def _score_all(self, batch: Batch, function: Any) -> Tensor:
        """Compute (B, T) in micro-batches, each process its share; all get the whole."""
        index, _ = self._share(len(batch))
        whole = torch.zeros(len(index), batch.mask.shape[1], device=self.accelerator.device)
        for rows in torch.split(torch.arange(len(index)), self.s.micro_batch):
            found = function(batch.rows(index[rows]).to(self.accelerator.device))
            whole[rows, : found.shape[1]] = found
        everyone: Tensor = self.accelerator.gather(whole)
        return everyone[: len(batch)].cpu()

    # steps

    def step(self, batch: Batch, factor: float) -> dict[str, float]:
        """Take one optimizer step.

        Args:
            batch: the rows to learn from, with advantages.
            factor: of the learning rates.

        Returns:
            Metrics. The difference of the logprobs is that from the batch's old ones: before any
            step was taken on a rollout batch it is what the engine's arithmetic differs by.

        Raises:
            LossExploded: the loss or the gradient is not finite, or too large; nothing was
                changed.
        """
        device = self.accelerator.device
        weights = Weights.of(batch, self.s)
        index, live = self._share(len(batch))
        parts = torch.split(torch.arange(len(index)), self.s.micro_batch)
        sums: dict[str, Tensor] = {}
        drift = torch.zeros((), device=device)
        self.policy.trained.train()
        for number, rows in enumerate(parts):
            micro = batch.rows(index[rows]).to(device)
            counted = weights.rows(index[rows], live[rows], micro.mask.shape[1]).to(device)
            with self._accumulating(last=number == len(parts) - 1):
                loss, metrics, gap = self._loss(micro, counted)
                # gradients are averaged over the processes, but the loss is a sum over rows
                self.accelerator.backward(loss * self.accelerator.num_processes)
            for name, value in metrics.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
            drift = torch.maximum(drift, gap.max())
        result = self._over_processes(sums, drift)
        result["grad_norm"] = self._clip()
        self._check(result)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        return result

    def _loss(self, batch: Batch, weights: Weights) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return a micro-batch's part of the loss, of the metrics, and how far logprobs moved."""
        s = self.s
        scores = self._forward(self.trained, batch, entropy_gradient=s.entropy_bonus > 0)
        inputs = algorithms.LossInputs(
            scores.logprobs,
            batch.old_logprobs,
            batch.advantages,
            batch.mask,
            s.clip_low,
            s.clip_high,
        )
        per_token = self.algorithm.loss(inputs)  # (B, T)
        if batch.importance is not None:
            per_token = per_token * batch.importance
        metrics = {name: (value * weights.token).sum() for name, value in inputs.metrics.items()}
        metrics["entropy"] = (scores.entropy * weights.token).sum()
        if batch.reference is not None:
            k3 = divergence(scores.logprobs, batch.reference, "k3")
            metrics["kl"] = (k3 * weights.token).sum()
            if s.kl.place == "loss" and self.kl.value:
                charged = divergence(scores.logprobs, batch.reference, s.kl.charged)
                per_token = per_token + self.kl.value * charged
        loss = (per_token * weights.loss).sum()
        if s.entropy_bonus:
            loss = loss - s.entropy_bonus * metrics["entropy"]
        metrics["loss"] = loss
        if s.critic is not None:
            assert batch.values is not None
            assert batch.returns is not None
            values = self._values(batch, scores)
            errors = value_loss(values, batch.values, batch.returns, s.critic.clip)
            metrics["value_loss"] = (errors * weights.value).sum()
            loss = loss + s.critic.coefficient * metrics["value_loss"]
        gap = (scores.logprobs - batch.old_logprobs).detach().abs() * (weights.token > 0)
        metrics["sampling/sampling_logp_difference/mean"] = (gap * weights.token).sum()
        return loss, metrics, gap

    def _share(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return this process's rows, as many as every other's, and 0 where one only fills up."""
        count = self.accelerator.num_processes
        each = -(-rows // count)
        index = torch.arange(each) + self.accelerator.process_index * each
        live = index < rows
        return torch.where(live, index, 0), live.float()

    @contextlib.contextmanager
    def _accumulating(self, *, last: bool) -> Iterator[None]:
        """Exchange gradients with the other processes at the last micro-batch only."""
        self.accelerator.sync_gradients = last  # DeepSpeed steps with the backward pass
        with contextlib.ExitStack() as stack:
            if not last:
                for module in filter(None, (self.trained, self.critic)):
                    stack.enter_context(self.accelerator.no_sync(module))
            yield

    def _over_processes(self, sums: dict[str, Tensor], drift: Tensor) -> dict[str, float]:
        ours = torch.stack([*sums.values(), drift])[None]
        everyone = self.accelerator.gather(ours)  # (processes, metrics)
        result = dict(zip(sums, everyone[:, :-1].sum(0).tolist(), strict=True))
        result["sampling/sampling_logp_difference/max"] = float(everyone[:, -1].max())
        if "clip_ratio/low_mean" in result:
            result["clip_ratio/region_mean"] = (
                result["clip_ratio/low_mean"] + result["clip_ratio/high_mean"]
            )
        return result

    def _clip(self) -> float:
        """Scale the gradients down; the critic's do not count against the policy's."""
        most = self.s.max_grad_norm
        norm = self.accelerator.clip_grad_norm_(self.trained.parameters(), most)
        if self.critic is not None:
            self.accelerator.clip_grad_norm_(self.critic.parameters(), most)
        return float(norm)

    def _check(self, metrics: dict[str, float]) -> None:
        for name in ("loss", "value_loss", "grad_norm"):
            value = metrics.get(name, 0.0)
            if not math.isfinite(value) or (name != "grad_norm" and abs(value) > self.s.max_loss):
                self.optimizer.zero_grad()
                raise LossExploded(f"{name.replace('_', ' ')} is {value:g}")

    def _forward(self, model: Any, batch: Batch, *, entropy_gradient: bool = False) -> Scores:
        return score(
            model,
            batch,
            self.s.temperature,
            width=self.policy.width,
            entropy_gradient=entropy_gradient,
        )

    def _values(self, batch: Batch, scores: Scores | None) -> Tensor:
        if self.critic is not None:
            return score_values(self.critic, batch, width=self.policy.width)
        scores = scores or self._forward(self.trained, batch)
        assert scores.values is not None
        return scores.values
