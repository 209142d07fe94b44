"""The settings of an engine."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rlenv.common.errors import did_you_mean
from rlenv.common.plugins import split_ref
from rlenv.common.settings import Settings
from rlenv.engines.registry import engines

AUTO = "auto"  # the fastest that runs the model


class EngineSettings(Settings):
    """What generates the policy's replies.

    Attributes:
        kind: `auto` takes the fastest that runs the model here: `native`, rlenv's own decode loop,
            or `transformers`; `vllm` is a server on other GPUs. One from elsewhere is the name
            that an installed package gave it, or `file.py:name`.
        url: of the vLLM server.
        timeout: seconds to wait for the vLLM server to be up.
        group_port: a free port of the machine that trains, through which weights are sent.
        dtype: what the native engine computes in: that of the model, or `bfloat16`, which is faster
            for models of some millions of parameters where the processor has instructions for it;
            logprobs are then off by some hundredths.
        options: settings of an engine from elsewhere, which are handed to it as they stand here.
    """

    kind: str = AUTO
    url: str = "http://localhost:8000"
    timeout: float = Field(default=60.0, ge=0)
    group_port: int = Field(default=51216, ge=1, le=65535)
    dtype: Literal["model", "bfloat16"] = "model"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _there_is_one(cls, kind: str) -> str:
        path, name = split_ref(kind)
        if path is None and kind != AUTO and not engines.knows(name):
            known = [AUTO, *engines.names()]
            near = did_you_mean(name, known).strip().replace("Did you mean", "did you mean")
            text = f"there is no such engine, there are {', '.join(known)}"
            raise PydanticCustomError("engine", f"{text}; {near}" if near else text)
        return kind

    @model_validator(mode="after")
    def _read_by_the_engine(self) -> EngineSettings:
        if self.dtype != "model" and self.kind not in (AUTO, "native"):
            raise ValueError(f"dtype is read by the native engine, not by {self.kind}")
        if self.options and self.kind in (AUTO, *engines.built_in):
            raise ValueError(f"options are read by engines from elsewhere, not by {self.kind}")
        return self
