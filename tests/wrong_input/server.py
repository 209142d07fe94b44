"""A server that answers as endpoints do that are not in order; the path says how."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_REPLY = {"choices": [{"message": {"content": "2"}, "finish_reason": "stop"}]}
_BODIES = {
    "page": "<html>Welcome</html>",
    "other": json.dumps({"hello": "world"}),
    "list": "[]",
    "none": json.dumps({"choices": []}),
    "200": json.dumps(_REPLY),
}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        kind = self.path.split("/")[1]
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if kind == "gone":
            return
        if kind == "slow":
            time.sleep(1.0)
        status = int(kind) if kind.isdigit() else 200
        body = _BODIES.get(kind, json.dumps({"error": {"message": f"this is {kind}"}})).encode()
        with contextlib.suppress(OSError):  # who asked may have gone
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Serve on a free port; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
