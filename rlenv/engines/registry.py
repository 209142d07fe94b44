"""Engines by name. An engine's module is imported when something is to be generated with it."""

from __future__ import annotations

from rlenv.common.plugins import Registry
from rlenv.engines.base import Engine

engines: Registry[type[Engine]] = Registry(
    "engine",
    "rlenv.engines",
    {
        "native": "rlenv.engines.native:NativeEngine",
        "transformers": "rlenv.engines.hf:TransformersEngine",
        "vllm": "rlenv.engines.vllm:VLLMEngine",
    },
)
