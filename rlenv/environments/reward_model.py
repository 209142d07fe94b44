"""An environment whose reward is a learned model: what can't be checked is compared.

The reward of a reply is the reward model's score of the conversation, by default less its score
of the reply that people chose. Beside it may stand the verified reward of another environment.
Over-optimisation shows how far such a reward can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rlenv
from rlenv.core.task import Message
from rlenv.environments.prompted import Prompted

if TYPE_CHECKING:
    from rlenv.core.protocols import PolicyChat
    from rlenv.models.reward_model import RewardModel
    from rlenv.models.shared_backbone import SharedBackbone

Combine = Literal["mean", "lowest", "cautious"]

_REMEMBERED = 20_000  # scores
_MODELS = 4  # that stay loaded
_DIGITS = 4  # scores differ beyond them with what else is in a batch


class Scorer:
    """A reward model that scores many replies at once.

    Replies that were announced wait until one of them is asked for.

    Args:
        model: the reward model.
    """

    def __init__(self, model: RewardModel) -> None:
        self.model = model
        self._known: dict[tuple[int, ...], tuple[float, ...]] = {}
        self._waiting: dict[tuple[int, ...], None] = {}

    def expect(self, messages: Sequence[Message], reply: str) -> None:
        """Score this reply together with the next one that is asked for."""
        ids = tuple(self.model.tokens(messages, reply))
        if ids not in self._known:
            self._waiting[ids] = None

    def scores(self, messages: Sequence[Message], reply: str) -> tuple[float, ...]:
        """Return the score of each member of the ensemble."""
        ids = tuple(self.model.tokens(messages, reply))
        if ids not in self._known:
            batch = list(dict.fromkeys([ids, *self._waiting]))
            self._waiting.clear()
            while len(self._known) + len(batch) > _REMEMBERED and self._known:
                self._known.pop(next(iter(self._known)))  # the oldest
            found = self.model.scores(batch).T.tolist()
            self._known.update(zip(batch, map(tuple, found), strict=True))
        return self._known[ids]


class RewardModelEnv(Prompted):
    """Answer a prompt; a learned reward model judges the reply.

    Args:
        model: a checkpoint folder or hub id of a reward model, or several: an ensemble. A folder
            may be left by a later stage; it is loaded when the first reply is judged.
        combine: of an ensemble's scores: their `mean`, the `lowest`, or, `cautious`, the mean less
            their standard deviation (Coste et al. 2023, section 3).
        relative: take the score of the reference reply off, where there is one. Then 0 is as good
            as the reference, and a reply that reaches it counts as solved.
        device: where the reward model computes.
        **kwargs: see `Prompted` for where the prompts come from, and `TextEnv`.

    Raises:
        rlenv.UserError: no model, or a folder that holds no reward model.
    """

    reward_range = (float("-inf"), float("inf"))
    solved_at = 0.0

    def __init__(
        self,
        *,
        model: str | Sequence[str] | None = None,
        combine: Combine = "mean",
        relative: bool = True,
        device: str = "auto",
        **kwargs: Any,
    ) -> None:
        if model is None:
            raise rlenv.UserError(
                "RewardModel needs option model, a checkpoint folder or hub id that a reward stage "
                "left"
            )
        if combine not in ("mean", "lowest", "cautious"):
            raise rlenv.UserError(f"combine is mean, lowest or cautious, not {combine!r}")
        self.sources = (model,) if isinstance(model, str) else tuple(model)
        self.device, self.combine, self.relative = device, combine, relative
        _check_those_there(self.sources)
        super().__init__(**kwargs)
        if self.base is not None:
            self.solved_at = self.bonus  # type: ignore[misc]

    @property
    def scorer(self) -> Scorer:
        """The reward model, loaded once in a process."""
        return _scorer(self.sources, self.device, backbone=None)

    def meet(self, chat: PolicyChat) -> None:
        """Load the reward model on the policy's backbone where the two have the same one.

        Raises:
            rlenv.UserError: the policy has another tokenizer than the reward model.
        """
        from rlenv.models.reward_model import check_same_tokenizer

        backbone = getattr(chat, "backbone", None)
        ours = _scorer(self.sources, self.device, backbone=backbone).model.chat
        check_same_tokenizer(chat.tokenizer, chat.source, ours.tokenizer, self.sources[0])

    def memory(self) -> dict[str, int]:
        """Return the bytes of the reward model's weights that no policy shares."""
        return {"reward": self.scorer.model.bytes()}

    def announce(self, reply: str) -> None:
        """Let the reply be scored together with the others of a rollout."""
        super().announce(reply)
        if self.task is None or _missing(self.sources):
            return
        for one in (reply, self._reference(self.task)):
            if one is not None:
                self.scorer.expect(self.opening(self.task), one)

    def judged(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Score a reply.

        Returns:
            A reward with the components `model`, the score as the reward model gives it, and
            `disagreement`, the standard deviation between the members of an ensemble. It is not
            judged where the reward model is not there yet, as in a stage before the one that
            leaves it.
        """
        if missing := _missing(self.sources):
            return rlenv.Reward.failed(f"there is no reward model in {missing} yet")
        scores = self.scorer.scores(self.opening(task), reply)
        score = _combined(scores, self.combine)
        components = {"model": score}
        if len(scores) > 1:
            components["disagreement"] = round(_deviation(scores), _DIGITS)
        value = score
        reference = self._reference(task)
        if reference is not None:
            theirs = self.scorer.scores(self.opening(task), reference)
            value -= _combined(theirs, self.combine)
        return rlenv.Reward(value, components)

    def _reference(self, task: rlenv.Task) -> str | None:
        if not self.relative:
            return None
        return self.demonstrate(task, self.opening(task))


def _missing(sources: Sequence[str]) -> str | None:
    """Return a folder that is not there; a hub id is none."""
    return next((s for s in sources if s.count("/") != 1 and not _folder(s).is_dir()), None)


def _folder(source: str) -> Path:
    return Path(source).expanduser()


def _check_those_there(sources: Sequence[str]) -> None:
    """Check the folders that exist; others are left by a stage of the run, or on a hub."""
    for source in sources:
        if _folder(source).is_dir():
            from rlenv.models.reward_model import check_checkpoint

            check_checkpoint(source)


_loaded: dict[tuple[Any, ...], Scorer] = {}  # all environments of a process use the same ones


def _scorer(sources: tuple[str, ...], device: str, *, backbone: SharedBackbone | None) -> Scorer:
    """Return a reward model, loaded once in a process; again if it was trained anew."""
    from rlenv.models.reward_model import RewardModel

    key = (sources, device, _changed(sources))
    if key not in _loaded or not _loaded[key].model.alive:
        while len(_loaded) >= _MODELS:
            del _loaded[next(iter(_loaded))]  # the oldest
        _loaded[key] = Scorer(RewardModel.load(sources, device=device, backbone=backbone))
    return _loaded[key]


def _changed(sources: Sequence[str]) -> int:
    """Return a number that changes when one of the models is trained anew."""
    folders = [_folder(source) for source in sources]
    return max((folder.stat().st_mtime_ns for folder in folders if folder.is_dir()), default=0)


def _combined(scores: Sequence[float], how: Combine) -> float:
    mean = sum(scores) / len(scores)
    if how == "lowest":
        mean = min(scores)
    elif how == "cautious" and len(scores) > 1:
        mean -= _deviation(scores)
    return round(mean, _DIGITS)


def _deviation(scores: Sequence[float]) -> float:
    mean = sum(scores) / len(scores)
    return float((sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) ** 0.5)
