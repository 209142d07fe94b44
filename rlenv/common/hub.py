"""Whether the hub of models and data sets can be reached, asked once and quickly.

The libraries that load from it try for a minute where there is no network.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from rlenv.common.errors import UserError

_SECONDS = 5.0
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?\Z")


def check_reachable(name: str) -> None:
    """Let the libraries look for a name in their caches alone where the hub can't be reached.

    Args:
        name: the id of a model or a data set; a path is passed over.

    Raises:
        UserError: the name is neither a path nor an id.
    """
    if Path(name).expanduser().exists():
        return
    if _ID.match(name) is None:
        raise UserError(f"{name} does not exist; give a checkpoint folder or a hub id")
    if not is_reachable():
        go_offline()


@lru_cache(maxsize=1)
def is_reachable() -> bool:
    """Return whether the hub answers; no answer is waited for where the user said to be offline."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    import httpx

    try:
        httpx.head(constants.ENDPOINT, timeout=_SECONDS)
    except httpx.HTTPError:
        return False
    return True


def go_offline() -> None:
    """Let this process, and those that it starts, ask no hub."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    import sys

    datasets = sys.modules.get("datasets")
    if datasets is not None:
        datasets.config.HF_HUB_OFFLINE = True
