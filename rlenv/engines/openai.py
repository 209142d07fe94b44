"""Models behind an endpoint that speaks OpenAI's chat protocol: `openai:NAME@URL`.

Such an endpoint takes messages and returns text, not tokens, so it can be evaluated and not
trained. Servers that speak it: OpenAI's own and other vendors', `vllm serve`, `transformers serve`,
llama.cpp's, ollama.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx

from rlenv.common.errors import RunFailed, UserError
from rlenv.core.task import Message
from rlenv.engines.base import Sampling
from rlenv.engines.chat import ChatModelSettings, ChatReply, is_http

PREFIX = "openai:"
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # worth another try
_LONGEST_WAIT = 60.0  # seconds, unless the server asks for more


class RequestRefused(UserError):
    """The server refuses this one request, such as a conversation that is too long for it."""


def parse_endpoint(text: str) -> tuple[str, str]:
    """Read `openai:NAME@URL`.

    Returns:
        The name that the server knows the model by, and the address.

    Raises:
        UserError: it has another form.
    """
    name, at, url = text.removeprefix(PREFIX).rpartition("@")
    if not (at and name and is_http(url)):
        raise UserError(
            f"{text!r} is not of the form openai:NAME@URL, such as "
            "openai:my-model@http://localhost:8000/v1"
        )
    return name, url


class Pace:
    """Spaces out requests of many threads, and holds all of them back when the server says so.

    Args:
        per_minute: at most so many requests; None for no limit.
        clock: the time in seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Wait for this thread's turn."""
        with self._lock:
            turn = max(self._next, self._clock())
            self._next = turn + self._gap
        delay = turn - self._clock()
        if delay > 0:
            self._sleep(delay)

    def hold(self, seconds: float) -> None:
        """Let nobody begin a request for so many seconds."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def pause(self, seconds: float) -> None:
        """Let this thread alone wait."""
        self._sleep(seconds)


class OpenAIChatModel:
    """A model behind a server; may be used by many threads at once.

    Args:
        settings: which model, with `url`, and how it is asked.
        pace: spaces out requests; made by the settings if left out.
        transport: how to send; for tests.

    Raises:
        UserError: the key would cross a network unencrypted.
    """

    def __init__(
        self,
        settings: ChatModelSettings,
        *,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if settings.url is None:
            raise ValueError("a model behind a server needs the url of the server")
        self.name, self.url = settings.model, settings.url
        self.settings = settings
        self.max_concurrency = settings.max_concurrency
        self.pace = pace or Pace(settings.per_minute)
        key = _key(self.url, settings.key_from)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=settings.timeout,
            limits=httpx.Limits(max_connections=settings.max_concurrency),
            transport=transport,
        )
        self._limit_name = "max_tokens"  # newer models of OpenAI want another one
        self._jitter = random.Random(0)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def reply(self, conversations: Sequence[Sequence[Message]], seed: int) -> list[ChatReply]:
        """See `ChatModel.reply`.

        Raises:
            UserError: the key, the model or the address is wrong.
        """
        numbered = list(enumerate(conversations))
        with ThreadPoolExecutor(self.max_concurrency) as pool:
            return list(pool.map(lambda one: self._reply(one[1], seed + one[0]), numbered))

    def _reply(self, messages: Sequence[Message], seed: int) -> ChatReply:
        said = [{"role": m["role"], "content": m["content"]} for m in messages]
        try:
            return self.ask(said, self.settings.sampling, seed)
        except (RequestRefused, RunFailed) as error:
            return ChatReply("", f"no reply: {error}")

    def ask(self, messages: Sequence[Message], sampling: Sampling, seed: int) -> ChatReply:
        """Return the model's reply to one conversation.

        Args:
            messages: of the roles system, user and assistant.
            sampling: how to sample. `top_k` and `min_p` are sent only if set: not every server
                knows them.
            seed: for servers that heed it.

        Raises:
            RequestRefused: the server refuses this request.
            UserError: it refuses any: the key, the model or the address is wrong.
            RunFailed: it could not be reached, or failed every time.
        """
        problem = ""
        for attempt in range(self.settings.tries):
            self.pace.wait()
            try:
                response = self._http.post(
                    f"{self.url}/chat/completions",
                    json=self._body(messages, sampling, seed),
                )
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                self._back_off(attempt, None)
                continue
            if response.status_code in _AGAIN:
                problem = f"status {response.status_code}: {_said(response)}"
                self._back_off(attempt, response)
                continue
            if response.status_code != 200:
                if self._takes_other_limit(response):
                    continue
                self._refused(response)
            return _read(response)
        raise RunFailed(f"{self.url} failed {self.settings.tries} times in a row ({problem})")

    def _body(self, messages: Sequence[Message], sampling: Sampling, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": list(messages),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._limit_name: sampling.max_tokens,
            "seed": seed % 2**31,
        }
        extra = {"top_k": sampling.top_k, "min_p": sampling.min_p, "stop": list(sampling.stop)}
        return {**body, **{name: value for name, value in extra.items() if value}}

    def _back_off(self, attempt: int, response: httpx.Response | None) -> None:
        """Wait before the next attempt: longer each time, and at random, so that threads part.

        A server that says how long to wait speaks to all threads.
        """
        asked = _retry_after(response)
        if asked is not None:
            self.pace.hold(asked)
        elif attempt + 1 < self.settings.tries:
            self.pace.pause(self._jitter.uniform(0.2, 1.0) * min(_LONGEST_WAIT, 2.0**attempt))

    def _takes_other_limit(self, response: httpx.Response) -> bool:
        if "max_completion_tokens" not in response.text or self._limit_name != "max_tokens":
            return False
        self._limit_name = "max_completion_tokens"
        return True

    def _refused(self, response: httpx.Response) -> None:
        hint = ""
        if response.status_code in (401, 403):
            hint = f"; put a key into the environment variable {self.settings.key_from}"
        elif response.status_code == 404:
            hint = "; is the name of the model right, and does the address end in /v1?"
        raise (UserError if hint else RequestRefused)(
            f"{self.url} refused the request with status {response.status_code}: "
            f"{_said(response)}{hint}"
        )


def _read(response: httpx.Response) -> ChatReply:
    """Read a completion.

    Raises:
        UserError: it is none.
    """
    try:
        body = response.json()
        choice = body["choices"][0]
        text = choice["message"].get("content") or ""
        usage = body.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise UserError(
            f"{response.url} does not answer as a chat endpoint does: {_said(response)}"
        ) from None
    stopped = choice.get("finish_reason") != "length"
    problem = "" if stopped else "cut off"
    return ChatReply(
        text=text,
        problem=problem if text else "the reply holds no text",
        stopped=stopped,
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        tokens=int(usage.get("completion_tokens") or 0),
    )


def _key(url: str, variable: str) -> str | None:
    """Return the key from the environment; None where there is none.

    Raises:
        UserError: the key would cross a network unencrypted.
    """
    found = os.environ.get(variable) or None
    here = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    if found and not here and not url.startswith("https"):
        raise UserError(f"{variable} would be sent to {url} unencrypted; use https, or unset it")
    return found


def _retry_after(response: httpx.Response | None) -> float | None:
    """Return the seconds that a server asks to wait; None where it does not say."""
    if response is None:
        return None
    try:
        return max(0.0, float(response.headers.get("retry-after", "")))
    except ValueError:  # absent, or a date
        return None


def _said(response: httpx.Response) -> str:
    """Return what a server said of an error, shortened."""
    text = response.text
    try:
        error = response.json().get("error", text)
        text = error.get("message", text) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        pass
    return " ".join(str(text).split())[:200] or "nothing"
