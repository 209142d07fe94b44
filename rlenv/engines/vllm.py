"""Generation on a vLLM server, which other GPUs serve while this process trains.

The server speaks vLLM's own protocol, and `trl.generation.vllm_client.VLLMClient` is the client;
weights reach it over NCCL after each update. It is started beside the training, see docs/gpus.md.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rlenv.common.errors import RunFailed, UserError
from rlenv.common.extras import require
from rlenv.engines.base import Completion, Engine, EngineSetup, Request, Sampling, in_order
from rlenv.engines.export import Export, exports
from rlenv.engines.sampling import Stops

if TYPE_CHECKING:
    from torch import Tensor

    from rlenv.engines.settings import EngineSettings

SERVE = (
    "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs "
    """--max-logprobs -1 --weight-transfer-config '{"backend": "nccl"}'"""
)


def check_installed() -> None:
    """Raise a `UserError` where vLLM is not installed."""
    require("vllm", "engine=vllm", otherwise="set engine=auto")


def connect(settings: EngineSettings) -> Any:
    """Return TRL's client of the server, once that is up; the same one each time.

    Args:
        settings: where the server is, and how long to wait for it.

    Raises:
        UserError: vLLM is not installed, no server answers there, or it was started without a
            setting that training needs.
    """
    check_installed()
    return _connect(settings.url, settings.group_port, settings.timeout)


@functools.cache
def _connect(url: str, group_port: int, timeout: float) -> Any:
    import requests
    from trl.generation.vllm_client import VLLMClient

    if not hasattr(VLLMClient, "get_server_info"):
        raise UserError(
            "the engine vllm needs TRL 1.16 or later, which is made for Python 3.11 and later; "
            "leave out engine.kind"
        )
    try:
        client = VLLMClient(
            base_url=url,
            group_port=group_port,
            connection_timeout=timeout,
        )
        mode = client.get_server_info().get("model_config", {}).get("logprobs_mode")
    except requests.ConnectionError:
        raise UserError(
            f"no vLLM server answers at {url}; start one with: {SERVE}, or set engine.url"
        ) from None
    except RuntimeError as error:  # no development endpoints, through which weights are announced
        raise UserError(f"{error} The whole command is: {SERVE}") from None
    if mode not in (None, "processed_logprobs"):
        raise UserError(
            f"the vLLM server at {url} returns {mode}, which are not those of the "
            f"distribution it samples from; start it with: {SERVE}"
        )
    return client


class VLLMEngine(Engine):
    """Generate on a vLLM server that holds the weights of this process's policy.

    Every process of a training samples through a client of its own; one of them sends the
    weights.

    Args:
        client: as returned by `connect`.
        model: the policy, before it is wrapped for several processes: a causal LM that the
            server was started with, plain or with LoRA adapters from peft.
        stop_ids: tokens that end a completion.
        tokenizer: to find stop texts with.
        pushes: whether this is the process that sends weights, which takes a GPU.
        max_rows: conversations sent to the server at once. It batches them as they come, and
            keeps what their turns have in common in a cache of its own.

    Raises:
        UserError: weights can't be sent to this server, or of this model.
    """

    holds_weights: ClassVar[bool] = True
    importance_cap: ClassVar[float | None] = 2.0  # its kernels are not those of the training

    def __init__(
        self,
        client: Any,
        model: Any,
        *,
        stop_ids: Sequence[int],
        tokenizer: Any = None,
        pushes: bool = True,
        max_rows: int = 1024,
    ) -> None:
        self.client = client
        self.stop_ids = sorted(stop_ids)
        self.tokenizer = tokenizer
        self.device = model.device
        self.pushes = pushes
        self.max_rows = max_rows
        self._exports: list[Export] = exports(model) if pushes else []
        self._widen_pool()
        if pushes and client.communicator is None:
            try:
                client.init_communicator(device=model.device)
            except (RuntimeError, NotImplementedError) as error:
                raise UserError(f"no weights can be sent to the vLLM server: {error}") from None

    @classmethod
    def build(cls, model: Any, setup: EngineSetup) -> VLLMEngine:
        """Connect to the server and send it the model's weights; see `Engine.build`."""
        engine = cls(
            connect(setup.settings),
            model,
            stop_ids=setup.stop_ids,
            tokenizer=setup.tokenizer,
            pushes=setup.sends_weights,
        )
        if setup.sends_weights:
            engine.update_weights(model.state_dict())
        return engine

    @classmethod
    def check(cls, settings: EngineSettings) -> None:
        """Connect to the server; see `Engine.check`."""
        connect(settings)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every conversation; see `Engine.generate`.

        Raises:
            RunFailed: the server refused a request or went away.
        """
        return in_order(self.stream(requests, sampling))

    def stream(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Continue every conversation; see `Engine.stream`.

        Raises:
            RunFailed: the server refused a request or went away.
        """
        stops = Stops(self.stop_ids, sampling.stop, self.tokenizer)

        def one(request: Request) -> Completion:
            # a server's request has one seed, so each conversation is a request
            answer = self.client.generate(
                [list(request.token_ids)],
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                min_p=sampling.min_p,
                max_tokens=request.limit(sampling),
                logprobs=0,
                generation_kwargs={
                    "seed": request.seed,
                    "stop_token_ids": self.stop_ids,
                    "stop": list(sampling.stop),
                },
            )
            return completion(
                answer["completion_ids"][0],
                answer["logprobs"][0],
                answer["logprob_token_ids"][0],
                stops,
            )

        with ThreadPoolExecutor(max_workers=self.max_rows) as threads:
            asked = {threads.submit(one, request): n for n, request in enumerate(requests)}
            try:
                for future in as_completed(asked):
                    yield asked[future], future.result()
            except Exception as error:  # the client raises bare ones
                threads.shutdown(wait=False, cancel_futures=True)
                raise RunFailed(
                    f"the vLLM server at {self.client.base_url} failed ({error}); see its log"
                ) from error

    def update_weights(self, state: Mapping[str, Tensor]) -> None:
        """Send the policy's weights to the server, LoRA adapters merged in; a no-op elsewhere.

        Args:
            state: the state of the model given at creation, whole: `model.state_dict()`, or
                `accelerator.get_state_dict(wrapped)` where it is sharded.
        """
        if not self.pushes:
            return
        metadata = [
            (e.name, str(state[e.key].dtype).removeprefix("torch."), list(state[e.key].shape))
            for e in self._exports
        ]
        self.client.update_named_params(metadata, self._tensors(state))
        self.client.reset_prefix_cache()  # it holds what the old weights computed

    def _tensors(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        for export in self._exports:  # one at a time: merged weights are new tensors
            yield export.name, export.tensor(state).to(self.device)

    def _widen_pool(self) -> None:
        """Keep as many connections open as requests are sent at once."""
        from requests.adapters import HTTPAdapter

        retries = self.client.session.get_adapter(self.client.base_url).max_retries
        pool = HTTPAdapter(max_retries=retries, pool_maxsize=self.max_rows)
        self.client.session.mount(self.client.base_url, pool)


def completion(
    ids: Sequence[int],
    logprobs: Sequence[Sequence[float | None]],
    logprob_ids: Sequence[Sequence[int]],
    stops: Stops,
) -> Completion:
    """Read one completion of TRL's client.

    Args:
        ids: the sampled tokens.
        logprobs: for each, those of one or more tokens, the sampled one among them; None where
            the server had none, which becomes NaN.
        logprob_ids: which tokens these are.
        stops: what ends a completion.
    """
    chosen = [
        dict(zip(at, values, strict=True))[token]
        for token, values, at in zip(ids, logprobs, logprob_ids, strict=True)
    ]
    return Completion(
        token_ids=list(ids),
        logprobs=[float("nan") if value is None else value for value in chosen],
        stopped=bool(ids)
        and (
            bool(stops.ended(np.array(ids[-1:]))[0])
            or (stops.may_close(ids[-1]) and stops.said(ids))
        ),
    )
