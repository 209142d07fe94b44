"""The settings of an engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlenv.common.settings import Settings


class EngineSettings(Settings):
    """What generates the policy's replies.

    Attributes:
        kind: `auto` takes the fastest that runs the model here: `native`, rlenv's own decode loop,
            or `transformers`; `vllm` is a server on other GPUs.
        url: of the vLLM server.
        timeout: seconds to wait for the vLLM server to be up.
        group_port: a free port of the machine that trains, through which weights are sent.
        dtype: what the native engine computes in: that of the model, or `bfloat16`, which is faster
            for models of some millions of parameters where the processor has instructions for it;
            logprobs are then off by some hundredths.
    """

    kind: Literal["auto", "native", "transformers", "vllm"] = "auto"
    url: str = "http://localhost:8000"
    timeout: float = Field(default=60.0, ge=0)
    group_port: int = Field(default=51216, ge=1, le=65535)
    dtype: Literal["model", "bfloat16"] = "model"

    @model_validator(mode="after")
    def _dtype_is_read(self) -> EngineSettings:
        if self.dtype != "model" and self.kind in ("transformers", "vllm"):
            raise ValueError(f"dtype is read by the native engine, not by {self.kind}")
        return self
