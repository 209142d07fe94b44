"""The models of an on-policy stage: the policy, its reference, its critic, its engine."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlenv.common.errors import RunFailed
from rlenv.common.settings import parse
from rlenv.engines.settings import EngineSettings
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.models.shared_backbone import SharedBackbone
from rlenv.trainers.common import lora
from rlenv.trainers.common.freezing import train_only
from rlenv.trainers.common.optimizers import adamw
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.critic import ActorCritic, Critic, frozen, without_dropout
from rlenv.trainers.rl.forward import can_share, score
from rlenv.trainers.rl.settings import OnPolicySettings


class Policy:
    """The policy and what belongs to it.

    Args:
        source: the checkpoint it begins as, and which stays the reference.
        settings: of the stage.
        device: where to compute.
        seed: of the weights that are new.
        engine: what generates its replies.
        pushes: whether this process is the one that sends a server its weights.

    Attributes:
        model: the causal LM, with its adapter if there is one; the engine reads it live.
        trained: the module whose forward pass is trained: the model, or model and value head.
        critic: a value function with a trunk of its own, if there is one.
        backbone: what a reward model may share; there is one with an adapter only.
        source: the checkpoint it began as.
        tokenizer, chat, engine: how it is talked to.
        width: of the model, if the prompt of a group may be computed once; else None.
        max_length: the longest episode, in tokens.
    """

    def __init__(
        self,
        source: str,
        settings: OnPolicySettings,
        device: str,
        seed: int,
        *,
        engine: EngineSettings | None = None,
        pushes: bool = True,
    ) -> None:
        torch.manual_seed(seed)
        self.source = source
        causal, self.tokenizer = checkpoint.load(source, device=device)
        without_dropout(causal)
        if settings.lora is not None:
            lora.check_targets(causal, settings.lora)
        self._reference = None
        if settings.lora is None and settings.kl.reference:
            self._reference = frozen(copy.deepcopy(causal))
        s = settings.critic
        self.critic: Any = None
        if s is not None and not s.shared:
            trunk = copy.deepcopy(causal.base_model)
            if settings.lora is not None:
                trunk = lora.with_adapter(trunk, settings.lora, "FEATURE_EXTRACTION")
            self.critic = Critic(trunk)
        if settings.train_only is not None:
            train_only(causal, settings.train_only)
        if settings.gradient_checkpointing:
            causal.gradient_checkpointing_enable({"use_reentrant": False})
        self._adapted = settings.lora is not None
        self._settings = settings
        self._optimizer: torch.optim.Optimizer | None = None  # of `step`
        self.model: Any = causal
        self.backbone: SharedBackbone | None = None
        if settings.lora is not None:
            self.model = lora.with_adapter(causal, settings.lora)
            self.backbone = SharedBackbone(source, self.model)
        self.trained: Any = ActorCritic(self.model) if s is not None and s.shared else self.model
        self.width: int | None = causal.config.hidden_size if can_share(causal.config) else None
        self.chat = ChatFormat(self.tokenizer, source)
        self.engine = checkpoint.engine_for(self.model, self.chat, engine, pushes=pushes)
        self.max_length = checkpoint.context_length(causal, self.tokenizer)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        learning_rate: float = 1e-3,
        device: str = "auto",
        seed: int = 0,
        engine: EngineSettings | str | None = None,
        **settings: Any,
    ) -> Policy:
        """Load a policy to play with and to train, in a loop of one's own.

        Args:
            source: a checkpoint folder or a hub id.
            learning_rate: of AdamW, which begins with the first `step`.
            device: where to compute; `auto` takes a GPU where there is one.
            seed: of the weights that are new, such as adapters.
            engine: what generates; by default the fastest that runs the model.
            **settings: others of `rlenv.trainers.rl.settings.OnPolicySettings`, such as
                `lora={"rank": 16}`, `weight_decay` or `max_grad_norm`.

        Raises:
            UserError: there is no such checkpoint or setting.

        Example:
            >>> policy = rlenv.Policy.load("runs/quickstart/sft", learning_rate=2e-3)
            >>> loss = policy_loss(policy.logprobs(batch), batch)
            >>> policy.step(loss)
            >>> policy.save("runs/mine")
        """
        values = {"kl": {"reference": False}, **settings, "learning_rate": learning_rate}
        chosen = parse(OnPolicySettings, {"steps": 1, **values}, "Policy.load", "")
        if isinstance(engine, str):
            engine = parse(EngineSettings, {"kind": engine}, "Policy.load", "engine.")
        where = checkpoint.pick_device(device)
        return cls(str(source), chosen, where, seed, engine=engine)

    def logprobs(self, batch: Batch, *, temperature: float = 1.0) -> Tensor:
        """Return the logprobs (B, T) of a batch's sampled tokens, with gradient; 0 elsewhere.

        Args:
            batch: the tokens. All rows go through the model at once; to take fewer, ask for
                `batch.rows(index)`.
            temperature: they were sampled at.
        """
        self.trained.train()
        scores = score(self.trained, batch.to(self.model.device), temperature, width=self.width)
        return scores.logprobs.to(batch.mask.device)

    def step(self, loss: Tensor | None = None, *, learning_rate: float | None = None) -> float:
        """Take an optimizer step, and let an engine that holds weights know the new ones.

        Args:
            loss: a scalar to go down; None where `backward` was called before, on parts of it.
            learning_rate: of this step, and of those after it.

        Returns:
            The norm of the gradient, before it was scaled down to `max_grad_norm`.

        Raises:
            RunFailed: the gradient is not finite; nothing was changed.
        """
        s = self._settings
        if self._optimizer is None:
            self._optimizer = adamw(self.trained, s.learning_rate, s.weight_decay)
        if loss is not None:
            loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained.parameters(), s.max_grad_norm))
        if not math.isfinite(norm):
            self._optimizer.zero_grad()
            raise RunFailed("the gradient is not finite; a lower learning rate usually helps")
        for group in self._optimizer.param_groups:
            group["lr"] = group["lr"] if learning_rate is None else learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.is_served:
            self.push(self.trained.state_dict())
        return norm

    @property
    def pad(self) -> int:
        """The token to pad with."""
        return self.tokenizer.pad_token_id or 0

    @property
    def has_reference(self) -> bool:
        """Whether there is a reference to compare with."""
        return self._adapted or self._reference is not None

    @contextlib.contextmanager
    def reference(self) -> Iterator[Any]:
        """Yield the policy as it began: a frozen copy, or the model with its adapter off."""
        if self._adapted:
            with self.model.disable_adapter():
                yield self.model
        else:
            assert self._reference is not None
            yield self._reference

    @property
    def is_served(self) -> bool:
        """Whether the engine holds weights of its own; others read the model live."""
        return self.engine.holds_weights

    def memory(self) -> dict[str, int]:
        """Return the bytes of its models' weights, by what they are; what is shared counts once."""
        counted: set[int] = set()
        models = {"policy": self.model, "reference": self._reference, "critic": self.critic}
        if self.trained is not self.model:
            models["critic"] = self.trained
        found = {}
        for name, model in models.items():
            own = [p for p in model.parameters() if id(p) not in counted] if model else []
            counted.update(map(id, own))
            found[name] = sum(p.numel() * p.element_size() for p in own)
        return found

    def trained_weights(self) -> tuple[int, int]:
        """Return how many of the policy's weights are trained, and how many there are."""
        weights = list(self.model.parameters())
        return sum(w.numel() for w in weights if w.requires_grad), sum(w.numel() for w in weights)

    def push(self, state: dict[str, Any]) -> None:
        """Send the engine its weights.

        Args:
            state: the weights of `trained`, gathered from all processes.
        """
        self.engine.update_weights(_of_model(state))

    def save(self, folder: str | Path, state: dict[str, Any] | None = None) -> None:
        """Save the policy as a checkpoint that transformers loads.

        Args:
            folder: where to.
            state: the weights of `trained`, gathered from all processes; those that it has if left
                out.
        """
        ours = _of_model(self.trained.state_dict() if state is None else state)
        if not self._adapted:
            checkpoint.save(self.model, self.tokenizer, Path(folder), state=ours)
            return
        self.model.load_state_dict(ours)
        assert self.backbone is not None
        self.backbone.release()
        checkpoint.save(self.model.merge_and_unload(), self.tokenizer, Path(folder))


def _of_model(state: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of the causal LM among those of `ActorCritic`, or as they are."""
    head = ("head.weight", "head.bias")
    return {name.removeprefix("policy."): w for name, w in state.items() if name not in head}
