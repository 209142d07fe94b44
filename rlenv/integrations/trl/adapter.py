"""One environment, as the arguments of `trl.GRPOTrainer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlenv.common.errors import HeldOutError, UserError
from rlenv.core import registry
from rlenv.core.task import Message, Task, check_split
from rlenv.core.trajectory import Trajectory
from rlenv.engines.base import mix
from rlenv.integrations.trl.engines import MakeEngine, policy, sampling
from rlenv.integrations.trl.episodes import check_alike, columns, judge, log_means
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.rollout import EnvPool, play

if TYPE_CHECKING:
    from datasets import Dataset

# of a message: which task it opens. TRL hands a rollout nothing but the prompt, and two tasks may
# have the same one
_TASK = "task"


class TRLAdapter:
    """One environment, as the arguments of `trl.GRPOTrainer`.

    Args:
        env: an environment's id, or `path/to/file.py:Name-v0`.
        max_length: an episode that would grow past this many tokens is truncated; by default the
            model's context. `GRPOConfig.max_completion_length` holds for each turn.
        engine: makes what generates the replies from the policy and its chat format; by default
            vLLM where the trainer uses it, else rlenv's fastest engine for the model.
        **options: settings of the environment.

    Raises:
        UserError: no such environment or option.
    """

    def __init__(
        self,
        env: str,
        *,
        max_length: int | None = None,
        engine: MakeEngine | None = None,
        **options: Any,
    ) -> None:
        registry.make(env, **options)
        self.env = env
        self.options = options
        self.max_length = max_length
        self._make_engine = engine
        self._tasks: dict[str, list[Task]] = {}  # by split
        self._pools: dict[str, EnvPool] = {}
        self._chat: ChatFormat | None = None
        self._calls = (0, 0)  # the trainer's step, and the rollouts it has asked for in it

    def dataset(self, split: str = "train", tasks: int = 1000) -> Dataset:
        """Return tasks as a `datasets.Dataset` for TRL, with their prompts.

        Args:
            split: `train`, or a held-out one for `eval_dataset`.
            tasks: how many different ones; fewer come back where the split holds fewer.
        """
        from datasets import Dataset

        known = self._tasks.setdefault(check_split(split), [])
        if len(known) < tasks:
            known[:] = self._pool(split).take(1)[0].tasks.distinct(tasks)
        return Dataset.from_list(
            [
                {"prompt": [{**message, _TASK: f"{split}/{n}"} for message in task.prompt]}
                for n, task in enumerate(known[:tasks])
            ]
        )

    def trainer_kwargs(self, tasks: int = 1000) -> dict[str, Any]:
        """Return `train_dataset`, `reward_funcs` and `rollout_func` for `trl.GRPOTrainer`.

        Args:
            tasks: how many training tasks.
        """
        return {
            "train_dataset": self.dataset("train", tasks),
            "reward_funcs": [self.reward],
            "rollout_func": self.rollout,
        }

    def rollout(self, prompts: Sequence[Sequence[Message]], trainer: Any) -> dict[str, list[Any]]:
        """Play an episode a prompt: TRL's `rollout_func`.

        Args:
            prompts: as in the dataset; TRL repeats each for the rollouts of its group.
            trainer: a `GRPOTrainer`.

        Returns:
            One entry a prompt of each: `prompt_ids`; `completion_ids`, all turns with what the
            environment said between them; their `logprobs` and the `env_mask`, which is 1 where
            the policy sampled the token; and `episode`, the `Trajectory`, for reward functions.

        Raises:
            HeldOutError: the trainer is about to train on held-out tasks.
            UserError: a setting of the trainer that these rollouts do not have.
        """
        from rlenv.models.checkpoint import context_length

        split, tasks = self._read(prompts)
        if trainer.model.training and split != "train":
            raise HeldOutError(
                f"the {split} split is held out and can't be trained on; use dataset('train')"
            )
        tokenizer = trainer.processing_class
        if self._chat is None or self._chat.tokenizer is not tokenizer:
            self._chat = ChatFormat(tokenizer)
        with policy(trainer, self._chat, self._make_engine) as (model, engine):
            groups = play(
                self._pool(split),
                engine,
                self._chat,
                tasks,
                samples=1,  # a process may hold a part of a group only
                sampling=sampling(trainer),
                seed=self._seed(trainer),
                max_length=self.max_length or context_length(model, tokenizer),
            )
        episodes = [group.trajectories[0] for group in groups]
        check_alike(episodes)
        return columns(episodes, self._chat.stop_ids[0])

    def reward(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        *,
        episode: Sequence[Trajectory] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Return what the episodes earned: a reward function for TRL.

        Without `rollout` it judges the replies that TRL generated itself, which does for
        environments of a single turn.

        Args:
            prompts: as in the dataset.
            completions: the replies.
            episode: what `rollout` played.
            log_metric: takes the means of the reward's components.

        Returns:
            The rewards, None where the grader failed: TRL gives such a completion no advantage
            and leaves it out of its group's baseline.
        """
        if episode is not None:
            rewards = [e.reward for e in episode]
        else:
            split, tasks = self._read(prompts)
            envs = self._pool(split).take(len(tasks))
            said = [str(completion[-1]["content"]) for completion in completions]
            rewards = judge(envs, tasks, said)
        if log_metric is not None:
            log_means(rewards, log_metric)
        return [r.value if r.judged else None for r in rewards]

    def _pool(self, split: str) -> EnvPool:
        if split not in self._pools:
            self._pools[split] = EnvPool(
                lambda: registry.make(self.env, split=split, **self.options)
            )
        return self._pools[split]

    def _read(self, prompts: Sequence[Sequence[Message]]) -> tuple[str, list[Task]]:
        """Return the split and the tasks that prompts name."""
        try:
            names = [prompt[-1][_TASK].partition("/") for prompt in prompts]
        except (KeyError, TypeError):
            raise UserError(
                "a prompt does not say which task it opens; train on TRLAdapter.dataset(...)"
            ) from None
        (split,) = {split for split, _, _ in names}
        return split, [self._tasks[split][int(number)] for _, _, number in names]

    def _seed(self, trainer: Any) -> int:
        """Return a seed of this rollout that a resumed training comes to again."""
        step = trainer.state.global_step
        before, calls = self._calls
        self._calls = (step, calls + 1 if step == before else 1)
        return mix(trainer.args.seed, *self._calls)
