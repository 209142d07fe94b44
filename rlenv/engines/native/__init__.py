"""The fast path: decoders of the Llama family, on their own weights and a cache made for groups."""

from rlenv.engines.native.engine import NativeEngine
from rlenv.engines.native.model import unsupported

__all__ = ["NativeEngine", "unsupported"]
