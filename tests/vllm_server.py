"""A server that speaks the part of vLLM's protocol that TRL's client uses, and NCCL beside it.

It generates with a real model, so that what a client asks for can be compared with what an engine
in this process makes of the same request; weights arrive in it as they would through NCCL.
"""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from rlenv.engines.base import Request, Sampling
from rlenv.engines.native import NativeEngine

_lines: dict[int, queue.Queue] = {}  # what NCCL would carry, by the port of the group


class FakeVLLM:
    """Use it as a context manager; `url` is where it listens.

    Args:
        model: what it serves; weights that are sent end up in it.
        tokenizer: its tokenizer, for stop texts.
        settings: what `/server_info` says beyond the usual.
        missing: paths that it does not serve.
    """

    def __init__(self, model, tokenizer=None, *, settings=None, missing=()):
        self.model, self.tokenizer = model, tokenizer
        self.missing = missing
        self.settings = {
            "weight_transfer_config": {"backend": "nccl"},
            "model_config": {"logprobs_mode": "processed_logprobs"},
            **(settings or {}),
        }
        self.requests = []  # (path, body)
        self.updating = False
        self.port = None
        self._lock = threading.Lock()  # the model decodes one request at a time
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def asked(self, path):
        """Return the bodies of the requests to a path."""
        return [body for asked, body in self.requests if asked == path]

    def answer(self, path, body):
        match path:
            case "/health":
                return {}
            case "/v1/models":
                return {"data": [{"id": "served"}]}
            case "/server_info":
                return {"vllm_config": self.settings}
            case "/get_world_size":
                return {"world_size": 1}
            case "/v1/completions":
                return {"choices": [self.complete(p, body) for p in body["prompt"]]}
            case "/init_weight_transfer_engine":
                self.port = body["init_info"]["master_port"]
                assert body["init_info"]["world_size"] == 2  # the trainer and one worker
                return {}
            case "/start_weight_update":
                self.updating = True
                return {}
            case "/update_weights":
                self.receive(body["update_info"])
                return {}
            case "/finish_weight_update":
                self.updating = False
                return {}
            case "/reset_prefix_cache":
                return {"success": True}
        raise LookupError(path)

    def complete(self, prompt, body):
        assert body["model"] == "served"
        assert body["return_token_ids"]
        assert body["return_tokens_as_token_ids"]
        assert body["n"] == 1
        engine = NativeEngine(self.model, stop_ids=body["stop_token_ids"], tokenizer=self.tokenizer)
        names = ("temperature", "max_tokens", "top_k", "top_p", "min_p")
        sampling = Sampling(**{n: body[n] for n in names}, stop=tuple(body["stop"]))
        with self._lock:
            (made,) = engine.generate([Request(prompt, body["seed"])], sampling)
        tokens = [f"token_id:{i}" for i in made.token_ids]
        return {
            "prompt_token_ids": prompt,
            "token_ids": made.token_ids,
            "logprobs": {
                "tokens": tokens,
                "token_logprobs": made.logprobs,
                # more than was asked for: the sampled token is not always the most likely
                "top_logprobs": [{"token_id:0": -0.001} for _ in tokens],
            },
        }

    @torch.no_grad()
    def receive(self, announced):
        assert self.updating
        weights = dict(self.model.named_parameters())
        assert set(announced["names"]) == set(weights)
        for name, dtype, shape in zip(
            announced["names"], announced["dtype_names"], announced["shapes"], strict=True
        ):
            sent, tensor = _lines[self.port].get(timeout=30)
            assert (sent, list(tensor.shape), str(tensor.dtype)) == (name, shape, f"torch.{dtype}")
            weights[name].copy_(tensor)

    def _handler(fake):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self._reply(None)

            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                self._reply(json.loads(self.rfile.read(length) or "null"))

            def _reply(self, body):
                path = self.path.partition("?")[0]
                fake.requests.append((path, body))
                try:
                    if path in fake.missing:
                        raise LookupError(path)
                    code, answer = 200, fake.answer(path, body)
                except LookupError:
                    code, answer = 404, {"detail": "Not Found"}
                except Exception as error:  # noqa: BLE001 the server goes on
                    code, answer = 400, {"error": repr(error)}
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler


class FakeNCCL:
    """In the place of vLLM's `NCCLWeightTransferEngine`, the trainer's side."""

    @staticmethod
    def trainer_init(info):
        _lines[info["master_port"]] = queue.Queue()
        return SimpleNamespace(port=info["master_port"], group=SimpleNamespace())

    @staticmethod
    def trainer_send_weights(iterator, trainer_args):
        assert trainer_args.packed
        for name, tensor in iterator:
            _lines[trainer_args.group.port].put((name, tensor.clone()))


def pretend_installed(monkeypatch):
    """Let TRL's client and rlenv find vLLM installed."""
    from trl.generation import vllm_client

    from rlenv.engines import vllm

    if not hasattr(vllm_client.VLLMClient, "get_server_info"):
        pytest.skip("the engine vllm needs TRL 1.16 or later")
    monkeypatch.setattr(vllm, "require", lambda *_, **__: None)
    monkeypatch.setattr(vllm_client, "is_vllm_available", lambda **_: True)
    for name, stand_in in {
        "get_ip": lambda: "127.0.0.1",
        "NCCLWeightTransferEngine": FakeNCCL,
        "NCCLTrainerSendWeightsArgs": SimpleNamespace,
    }.items():
        monkeypatch.setattr(vllm_client, name, stand_in, raising=False)
