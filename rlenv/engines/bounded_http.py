"""Requests to servers that may be slow, broken or hostile: none takes more than it may."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rlenv.core.background import BackgroundLoop

MOST_BYTES = 16 * 2**20  # of an answer, unpacked


class AnswerTooLarge(Exception):
    """An answer has more bytes than it may, or comes packed in a way that was not asked for."""


class TooSlow(Exception):
    """An answer was not whole in time."""


@dataclass(frozen=True)
class Answer:
    """What a server answered, whole and within its limits."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return what the body says.

        Raises:
            ValueError: it is no JSON, or nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class BoundedClient:
    """Posts to servers; may be used by many threads at once.

    A limit on single reads, as blocking clients have it, is no limit on the whole: a server that
    sends a byte a minute would hold a thread for days. So requests run on an event loop, where
    they can be cancelled at any point.

    Args:
        headers: sent with every request.
        timeout: seconds from the beginning of a request to the last byte of its answer.
        connections: at most so many at the same time.
        transport: how to send; for tests.
        most_bytes: of an answer, unpacked.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        timeout: float,
        connections: int,
        transport: httpx.AsyncBaseTransport | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._timeout, self._most = timeout, most_bytes
        self._http = httpx.AsyncClient(
            # unpacking is ours, within limits, if a server packs all the same
            headers={"Accept-Encoding": "identity", **headers},
            timeout=timeout,
            limits=httpx.Limits(max_connections=connections),
            transport=transport,
        )
        # one of its own: a grader on the common one may wait for an answer
        self._loop = BackgroundLoop()

    def post(self, url: str, body: Any) -> Answer:
        """Send a body as JSON.

        Raises:
            httpx.TransportError: the server can't be reached, or broke off.
            TooSlow: the answer was not whole in time.
            AnswerTooLarge: it is larger than it may be.
        """
        work = asyncio.wait_for(self._exchange(url, json.dumps(body).encode()), self._timeout)
        try:
            return self._loop.submit(work).result()
        except (asyncio.TimeoutError, httpx.TimeoutException):
            raise TooSlow(f"no whole answer within {self._timeout:g} s") from None

    def close(self) -> None:
        """Close the connections."""
        self._loop.submit(self._http.aclose()).result()

    async def _exchange(self, url: str, content: bytes) -> Answer:
        headers = {"Content-Type": "application/json"}
        async with self._http.stream("POST", url, content=content, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._most:
                    raise AnswerTooLarge(f"an answer of more than {self._most / 2**20:g} MiB")
            unpacked = self._unpacked(bytes(body), response.headers.get("content-encoding", ""))
            return Answer(response.status_code, response.headers, unpacked)

    def _unpacked(self, body: bytes, encoding: str) -> bytes:
        """Unpack an answer, as far as it may go."""
        for name in reversed([part.strip().lower() for part in encoding.split(",")]):
            if name in ("", "identity"):
                continue
            if name not in ("gzip", "x-gzip", "deflate"):
                raise AnswerTooLarge(
                    f"an answer that is packed by {name[:20]!r}, though none was asked"
                )
            try:
                body = zlib.decompressobj(wbits=47).decompress(body, self._most + 1)
            except zlib.error as error:
                raise httpx.DecodingError(f"a broken answer: {error}") from None
            if len(body) > self._most:
                raise AnswerTooLarge(
                    f"an answer of more than {self._most / 2**20:g} MiB once unpacked"
                )
        return body
