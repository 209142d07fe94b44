"""What a checkpoint folder holds, seen without loading its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError


def local_checkpoint(source: str, *, needs_chat: bool) -> None:
    """Check a checkpoint that a run or an evaluation starts from, without loading its weights.

    Raises:
        UserError: a folder that does not exist or holds neither a checkpoint nor a LoRA adapter,
            or one without a chat template where one is needed. A name that is no path is left to
            the hub.
    """
    path = Path(source).expanduser()
    looks_like_path = path.exists() or source.startswith((".", "/", "~")) or source.count("/") != 1
    if not looks_like_path:
        return
    if source.endswith(".gguf"):
        if not path.is_file():
            raise UserError(f"{source} does not exist; give a GGUF file")
        return  # its template is inside, and seen when it is loaded
    if path.is_file():
        raise UserError(f"{source} is a file; give the folder of a checkpoint, or a GGUF file")
    if not path.is_dir():
        raise UserError(f"{source} does not exist; give a checkpoint folder or a hub id")
    base = adapter_base(path)
    if base is not None:
        has_own = _has_chat_template(path)
        local_checkpoint(base, needs_chat=needs_chat and not has_own)
        return
    if not (path / "config.json").is_file():
        inside = sorted(p.parent.name for p in path.glob("*/config.json"))
        hint = f"; give one of the folders in it: {', '.join(inside)}" if inside else ""
        raise UserError(f"{source} holds no checkpoint: there is no config.json in it{hint}")
    check_config(path / "config.json")
    if needs_chat and not _has_chat_template(path):
        raise UserError(
            f"{source} has no chat template, which an environment needs to talk to it; fine-tune "
            "it with an sft stage, or set tokenizer.chat_template and save it"
        )


def adapter_base(path: Path) -> str | None:
    """Return the model that the LoRA adapter in a folder belongs to; None if there is no adapter.

    Raises:
        UserError: the adapter does not say.
    """
    settings = path / "adapter_config.json"
    if not settings.is_file():
        return None
    base = _read(settings).get("base_model_name_or_path")
    if not base:
        raise UserError(
            f"{settings} does not name the model that the adapter is for; set "
            "base_model_name_or_path there"
        )
    return str(base)


def check_config(path: Path) -> None:
    """Check that a model's config.json names an architecture.

    Raises:
        UserError: it does not, or is no JSON.
    """
    if "model_type" not in _read(path):
        raise UserError(
            f"{path} names no model_type, so it is no model's; save the checkpoint again, or copy "
            "its config.json"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON: {error}; copy the checkpoint again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold a mapping of settings; copy the checkpoint again")
    return found


def _has_chat_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file():
        return True
    settings = path / "tokenizer_config.json"
    return settings.is_file() and '"chat_template"' in settings.read_text(encoding="utf-8")
