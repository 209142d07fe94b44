"""The contract between rollouts and whatever produces the tokens."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rlenv.engines.settings import EngineSettings

_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes:
        temperature: 0 takes the most likely token.
        max_tokens: the longest completion; a request may set a lower limit of its own.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the smallest set of tokens with this much probability (nucleus sampling,
            Holtzman et al. 2020).
        min_p: drop tokens below this share of the most likely one's probability.
        stop: texts that end a completion; the token that completes one is the last.
    """

    temperature: float = 1.0
    max_tokens: int = 256
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature can't be negative, got {self.temperature}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, got {self.max_tokens}")
        if self.top_k < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1:
            raise ValueError("top_k is 0 or more, top_p in (0, 1], min_p in [0, 1]")
        if isinstance(self.stop, str) or not all(self.stop):
            raise ValueError("stop is a tuple of texts, none of them empty")


@dataclass(frozen=True)
class Request:
    """One conversation to continue.

    Attributes:
        token_ids: the conversation so far, at least one token.
        seed: of what is sampled. A completion depends on its request alone, not on what else is
            generated with it (up to floating-point rounding).
        max_tokens: the longest completion, where that is less than the sampling's.
        conversation: a name by which a session knows an earlier turn of the same conversation;
            None is always a conversation of its own.
    """

    token_ids: Sequence[int]
    seed: int
    max_tokens: int | None = None
    conversation: Hashable = None

    def limit(self, sampling: Sampling) -> int:
        """Return the longest completion of this request."""
        return min(sampling.max_tokens, self.max_tokens or sampling.max_tokens)


@dataclass(frozen=True)
class Completion:
    """What was sampled after one prompt.

    Attributes:
        token_ids: the sampled tokens, the stop token included where there is one.
        logprobs: natural log of the probability each token was sampled with, after temperature
            and filters; at temperature 0, of the unfiltered distribution at temperature 1.
        stopped: a stop token or a stop text ended it, not max_tokens.
    """

    token_ids: list[int]
    logprobs: list[float]
    stopped: bool


@dataclass(frozen=True)
class EngineSetup:
    """What an engine is built with, beside the model.

    Attributes:
        settings: as the user wrote them; an engine from elsewhere finds its own in `options`.
        stop_ids: tokens that end a completion.
        tokenizer: to find stop texts with; None where there are none.
        sends_weights: whether this process is the one that sends weights, where several share an
            engine that holds its own.
    """

    settings: EngineSettings
    stop_ids: tuple[int, ...]
    tokenizer: Any = None
    sends_weights: bool = True


@runtime_checkable
class Engine(Protocol):
    """Token ids in, token ids and logprobs out, many conversations at once.

    An engine from elsewhere derives from this class, writes `build`, `generate` and
    `update_weights`, and is registered with `rlenv.register_engine`.

    Attributes:
        max_rows: how many conversations it is worth handing over at once.
        holds_weights: it generates from a copy of the weights, which `update_weights` alone
            changes; otherwise it reads those of the model that it was built with at each call.
        importance_cap: where its logprobs differ from those that training computes: the cap on
            the importance weights that correct for it, unless the user sets one; None for none.
    """

    max_rows: int = 1024
    holds_weights: ClassVar[bool] = False
    importance_cap: ClassVar[float | None] = None

    @classmethod
    def build(cls, model: Any, setup: EngineSetup) -> Engine:
        """Make an engine.

        Args:
            model: the causal LM that generates; an engine that holds weights begins with its.
            setup: what else there is to know.

        Raises:
            UserError: it does not run this model here.
        """
        missing = f"{cls.__name__} needs build(model, setup)"
        raise NotImplementedError(missing)

    @classmethod
    def check(cls, settings: EngineSettings) -> None:
        """Raise a `UserError` for what would fail later, before a run starts."""
        return None

    def update_weights(self, state: Mapping[str, Any]) -> None:
        """Generate from these weights from now on.

        Args:
            state: the weights of the model that the engine was built with, whole, under the names
                of its `state_dict`.
        """
        missing = f"{type(self).__name__} needs update_weights(state)"
        raise NotImplementedError(missing)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every conversation.

        Args:
            requests: the conversations; what several begin with may be computed once.
            sampling: how to sample.

        Returns:
            One completion a request, in order.
        """
        ...

    def stream(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Continue every conversation, and hand each completion over when it ends.

        What there is to do about a completion can so begin while the others go on. An engine
        that has all of them at once inherits this method.

        Args:
            requests: as in `generate`.
            sampling: as in `generate`.

        Yields:
            The number of a request and its completion, as `generate` returns it; each once, in
            any order.
        """
        yield from enumerate(self.generate(requests, sampling))

    def session(self) -> AbstractContextManager[Engine]:
        """Open a session, an engine for conversations of several turns.

        The weights stay as they are while it is open. A request of a conversation that the session
        knows is computed from where it left off; what is no longer asked for may be forgotten.
        An engine that keeps nothing between calls inherits this method, which returns itself.
        """
        return nullcontext(self)


def in_order(stream: Iterable[tuple[int, Completion]]) -> list[Completion]:
    """Return the completions of a stream by the numbers of their requests."""
    return [completion for _, completion in sorted(stream, key=itemgetter(0))]


def mix(*numbers: int) -> int:
    """Hash whole numbers into one 63-bit seed.

    The steps are those of splitmix64 (Steele, Lea and Flood 2014), so neighbouring numbers give
    unrelated seeds.
    """
    state = 0
    for number in numbers:
        state = (state + (number & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1
