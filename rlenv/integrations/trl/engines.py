"""What generates in a TRL trainer: its vLLM, or one of rlenv's engines on its model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlenv.common.errors import UserError
from rlenv.engines import factory
from rlenv.engines.base import Completion, Engine, Request, Sampling, mix
from rlenv.engines.sampling import Stops
from rlenv.engines.settings import EngineSettings
from rlenv.models.chat_format import ChatFormat

MakeEngine = Callable[[Any, ChatFormat], Engine]


@contextlib.contextmanager
def policy(
    trainer: Any, chat: ChatFormat, make: MakeEngine | None = None
) -> Iterator[tuple[Any, Engine]]:
    """Yield a trainer's model, whole, and what generates with it.

    Args:
        trainer: a `trl.GRPOTrainer`.
        chat: the model's chat format.
        make: makes the engine from the model and its chat format; by default vLLM where the
            trainer uses it, else the fastest that runs the model.

    Raises:
        UserError: the model is sharded in a way that can't generate.
    """
    from rlenv.models.checkpoint import engine_for

    rank = trainer.accelerator.process_index  # processes that share a group must not sample alike
    if trainer.use_vllm and make is None:
        yield trainer.accelerator.unwrap_model(trainer.model), _Salted(_vllm(trainer, chat), rank)
        return
    if str(trainer.accelerator.distributed_type).endswith("FSDP"):
        raise UserError(
            "a model that FSDP has sharded can't generate in this process; set use_vllm=True"
        )
    from trl.models import unwrap_model_for_generation

    unwrapped = unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
    )
    with unwrapped as model, trainer.accelerator.autocast():
        yield model, _Salted((make or engine_for)(model, chat), rank)


def sampling(trainer: Any) -> Sampling:
    """Return how a trainer samples.

    Raises:
        UserError: in a way that rlenv's engines don't.
    """
    args = trainer.args
    if args.repetition_penalty != 1.0 or args.generation_kwargs:
        raise UserError(
            "rlenv's rollouts have no repetition_penalty and no generation_kwargs; leave them out "
            "of GRPOConfig"
        )
    return Sampling(
        temperature=args.temperature,
        max_tokens=args.max_completion_length,
        top_k=args.top_k or 0,
        top_p=args.top_p,
        min_p=args.min_p or 0.0,
    )


class _Salted(Engine):
    """An engine whose seeds are this process's own."""

    def __init__(self, engine: Engine, salt: int) -> None:
        self.engine, self.salt, self.max_rows = engine, salt, engine.max_rows

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        return self.engine.generate(self._salted(requests), sampling)

    def stream(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        return self.engine.stream(self._salted(requests), sampling)

    def _salted(self, requests: Sequence[Request]) -> list[Request]:
        return [replace(r, seed=mix(r.seed, self.salt)) for r in requests]

    def update_weights(self, state: Mapping[str, Any]) -> None:
        self.engine.update_weights(state)

    @contextlib.contextmanager
    def session(self) -> Iterator[Engine]:
        with self.engine.session() as session:
            yield _Salted(session, self.salt)


class _Colocated(Engine):
    """The vLLM that TRL runs in the training process; it samples as the trainer's settings say."""

    def __init__(self, generation: Any, stop_ids: Sequence[int]) -> None:
        self.generation, self.stops = generation, Stops(stop_ids)

    def update_weights(self, state: Mapping[str, Any]) -> None:
        """TRL has put them there before a rollout."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        from rlenv.engines.vllm import completion

        _, *answers = self.generation.generate(
            prompts=[list(r.token_ids) for r in requests], images=None, num_generations=1
        )
        made = []
        for request, ids, logprobs, logprob_ids in zip(requests, *answers, strict=True):
            most = request.limit(sampling)  # an episode near its end has less room than TRL's
            made.append(completion(ids[:most], logprobs[:most], logprob_ids[:most], self.stops))
        return made


def _vllm(trainer: Any, chat: ChatFormat) -> Engine:
    """Return the vLLM that a trainer uses; TRL has sent it the weights before a rollout."""
    args = trainer.args
    if trainer.vllm_mode == "colocate":
        if trainer.vllm_tensor_parallel_size > 1:
            raise UserError(
                "episodes end at different turns in different processes, which vLLM in the same "
                "process can't do with vllm_tensor_parallel_size > 1; set vllm_mode='server'"
            )
        return _Colocated(trainer.vllm_generation, chat.stop_ids)
    url = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
    settings = EngineSettings(kind="vllm", url=url, timeout=args.vllm_server_timeout)
    return factory.make(trainer.model, settings, stop_ids=chat.stop_ids, sends_weights=False)
