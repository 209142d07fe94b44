"""What is evaluated: a model by its name, and how it plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenv.common.errors import UserError
from rlenv.common.settings import parse
from rlenv.engines.chat import ChatModelSettings
from rlenv.engines.openai import PREFIX, OpenAIChatModel, parse_endpoint
from rlenv.evaluation.players import LocalPlayer, Player
from rlenv.models.checkpoint_folder import adapter_base, local_checkpoint

if TYPE_CHECKING:
    from rlenv.engines.settings import EngineSettings

_ROWS_OF_A_MILLION = 4096  # rows of a model of a million parameters that a processor takes at once
_FEWEST = 32
_SERVER = {"timeout": 300.0, "tries": 6}  # an evaluation waits longer than a judge is waited for


@dataclass(frozen=True)
class ModelUnderTest:
    """A model under evaluation.

    Attributes:
        name: as the user gave it.
        record: what its results are of: name, kind and a digest of its contents.
        player: makes what plays with it, given a system message or None.
        half: the same, generating in bfloat16; None for an endpoint.
    """

    name: str
    record: dict[str, Any]
    player: Callable[[str | None], Player]
    half: Callable[[str | None], Player] | None = None

    def maker(self, dtype: str) -> Callable[[str | None], Player]:
        """Return what makes a player that generates in a dtype; see `EvaluationPlan.dtype`.

        Raises:
            UserError: it is not chosen here.
        """
        if dtype == "model":
            return self.player
        if self.half is None:
            raise UserError(
                f"{self.name} is an endpoint, whose server chooses what it computes in; "
                "leave dtype out"
            )
        return self.half


def check_name(name: str) -> None:
    """Raise a `UserError` for a model that can't be there, before anything is loaded."""
    if name.startswith(PREFIX):
        parse_endpoint(name)
    else:
        local_checkpoint(name, needs_chat=True)


def load_model(
    name: str,
    *,
    device: str = "auto",
    threads: int | None = None,
    engine: EngineSettings | None = None,
    server: Mapping[str, Any] | None = None,
) -> ModelUnderTest:
    """Load a model.

    Args:
        name: a checkpoint folder, a folder with a LoRA adapter, a GGUF file, a hub id, or an
            endpoint, `openai:NAME@URL`.
        device: `cpu`, `cuda` or `auto`.
        threads: CPU threads for torch.
        engine: what generates; by default the fastest that runs the model here.
        server: how an endpoint is asked: settings of `rlenv.engines.chat.ChatModelSettings`.

    Raises:
        UserError: there is no such model.
    """
    if name.startswith(PREFIX):
        return _served(name, server or {})
    import torch

    from rlenv.common.display import quieten_transformers
    from rlenv.engines.settings import EngineSettings
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    quieten_transformers()
    if threads is not None:
        torch.set_num_threads(max(1, threads))
    model, tokenizer = checkpoint.load(name, device=device)
    dtype = str(model.dtype).removeprefix("torch.")
    record = {"name": name, **_contents(name, model), "dtype": dtype}

    def player(settings: EngineSettings | None, system: str | None) -> Player:
        chat = ChatFormat(tokenizer, name, system)
        longest = checkpoint.context_length(model, tokenizer)
        made = checkpoint.engine_for(model, chat, settings)
        return LocalPlayer(made, chat, longest, _batch_size(model))

    half = (engine or EngineSettings()).model_copy(update={"dtype": "bfloat16"})
    return ModelUnderTest(name, record, partial(player, engine), partial(player, half))


def _batch_size(model: Any) -> int:
    """Return how many episodes to play between two saves.

    A processor is busy with some rows of a large model; more of them would only put off what is
    shown and kept of the first.
    """
    if model.device.type != "cpu":
        return 512
    parameters: int = model.num_parameters()
    return max(_FEWEST, min(512, _ROWS_OF_A_MILLION * 10**6 // parameters))


def _served(name: str, server: Mapping[str, Any]) -> ModelUnderTest:
    from rlenv.evaluation.chat_player import ChatPlayer

    model, url = parse_endpoint(name)
    values = {"model": model, "url": url, **_SERVER, **server}
    served = OpenAIChatModel(parse(ChatModelSettings, values, name, ""))
    record = {"name": served.name, "kind": "endpoint", "url": served.url}
    return ModelUnderTest(name, record, lambda system: ChatPlayer(served, system))


def _contents(name: str, model: Any) -> dict[str, Any]:
    """Say which weights these are."""
    from rlenv.models.digest import digest

    path = Path(name).expanduser()
    if not path.exists():
        return {"kind": "hub", "digest": getattr(model.config, "_commit_hash", None)}
    base = adapter_base(path)
    if base is not None:
        return {"kind": "adapter", "digest": digest(path), "base": _base(base)}
    return {"kind": "gguf" if path.is_file() else "checkpoint", "digest": digest(path)}


def _base(name: str) -> dict[str, Any]:
    from rlenv.models.digest import digest

    path = Path(name).expanduser()
    return {"name": name, "digest": digest(path) if path.exists() else None}
