"""Models behind an endpoint that speaks OpenAI's chat protocol: `openai:NAME@URL`.

Such an endpoint takes messages and returns text, not tokens, so it can be evaluated and not
trained. Servers that speak it: OpenAI's own and other vendors', `vllm serve`, `transformers serve`,
llama.cpp's, ollama.
"""

from __future__ import annotations

import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from rlenv.common.errors import RunFailed, UserError
from rlenv.core.task import Message
from rlenv.engines.base import Sampling
from rlenv.engines.bounded_http import Answer, AnswerTooLarge, BoundedClient, TooSlow
from rlenv.engines.chat import ChatModelSettings, ChatReply, is_http, unspelled

PREFIX = "openai:"
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # worth another try
_LONGEST_WAIT = 60.0  # seconds, unless the server asks for more
_LONGEST_HOLD = 120.0  # seconds, whatever it asks for
_SHORTEST_SECRET = 8  # characters; servers at home take keys such as EMPTY


class RequestRefused(UserError):
    """The server refuses this one request, such as a conversation that is too long for it."""


def parse_endpoint(text: str) -> tuple[str, str]:
    """Read `openai:NAME@URL`.

    Returns:
        The name that the server knows the model by, and the address.

    Raises:
        UserError: it has another form.
    """
    found = re.fullmatch(r"(?s)(.+)@(https?://.+)", text.removeprefix(PREFIX))
    name, url = found.groups() if found else ("", "")
    if not is_http(url):
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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if settings.url is None:
            raise ValueError("a model behind a server needs the url of the server")
        self.name, self.url = settings.model, settings.url
        self.settings = settings
        self.max_concurrency = settings.max_concurrency
        self.pace = pace or Pace(settings.per_minute)
        self._key = _key(self.url, settings.key_from)
        self._http = BoundedClient(
            {"Authorization": f"Bearer {self._key}"} if self._key else {},
            settings.timeout,
            settings.max_concurrency,
            transport,
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
                answer = self._http.post(
                    f"{self.url}/chat/completions", self._body(messages, sampling, seed)
                )
            except AnswerTooLarge as error:
                raise RequestRefused(f"{self._shown} sent {error}") from None
            except (httpx.HTTPError, TooSlow) as error:
                problem = self._hidden(f"{type(error).__name__}: {error}")
                self._back_off(attempt, None)
                continue
            if answer.status in _AGAIN:
                problem = f"status {answer.status}: {self._said(answer)}"
                self._back_off(attempt, answer)
                continue
            if answer.status != 200:
                if self._takes_other_limit(answer):
                    continue
                self._refused(answer)
            return self._read(answer)
        raise RunFailed(f"{self._shown} failed {self.settings.tries} times in a row ({problem})")

    def _body(self, messages: Sequence[Message], sampling: Sampling, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": unspelled(messages),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._limit_name: sampling.max_tokens,
            "seed": seed % 2**31,
        }
        extra = {"top_k": sampling.top_k, "min_p": sampling.min_p, "stop": list(sampling.stop)}
        return {**body, **{name: value for name, value in extra.items() if value}}

    def _back_off(self, attempt: int, answer: Answer | None) -> None:
        """Wait before the next attempt: longer each time, and at random, so that threads part.

        A server that says how long to wait speaks to all threads.
        """
        asked = None if answer is None else _retry_after(answer)
        if asked is not None:
            self.pace.hold(asked)
        elif attempt + 1 < self.settings.tries:
            self.pace.pause(self._jitter.uniform(0.2, 1.0) * min(_LONGEST_WAIT, 2.0**attempt))

    def _takes_other_limit(self, answer: Answer) -> bool:
        if "max_completion_tokens" not in answer.text or self._limit_name != "max_tokens":
            return False
        self._limit_name = "max_completion_tokens"
        return True

    def _refused(self, answer: Answer) -> None:
        hint = ""
        if answer.status in (401, 403):
            hint = f"; put a key into the environment variable {self.settings.key_from}"
        elif answer.status == 404:
            hint = "; is the name of the model right, and does the address end in /v1?"
        raise (UserError if hint else RequestRefused)(
            f"{self._shown} refused the request with status {answer.status}: "
            f"{self._said(answer)}{hint}"
        )

    @property
    def _shown(self) -> str:
        """The address without a name and password in it."""
        parts = urlsplit(self.url)
        return self._hidden(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())

    def _hidden(self, text: str) -> str:
        """Take the key out of what may be printed or kept, wherever it came from."""
        if self._key is None or len(self._key) < _SHORTEST_SECRET:
            return text
        return text.replace(self._key, "[key]")

    def _said(self, answer: Answer) -> str:
        """Return what a server said of an error, shortened."""
        text: Any = answer.text
        try:
            error = answer.json().get("error", text)
            text = error.get("message", text) if isinstance(error, dict) else error
        except (ValueError, AttributeError):
            pass
        return " ".join(self._hidden(str(text)).split())[:200] or "nothing"

    def _read(self, answer: Answer) -> ChatReply:
        """Read a completion.

        Raises:
            UserError: it is none.
        """
        try:
            body = answer.json()
            choice = body["choices"][0]
            text = _text_of(choice["message"].get("content"))
            usage = body.get("usage")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise UserError(
                f"{self._shown} does not answer as a chat endpoint does: {self._said(answer)}"
            ) from None
        stopped = choice.get("finish_reason") != "length"
        problem = "" if stopped else "cut off"
        return ChatReply(
            text=self._hidden(text),
            problem=problem if text else "the reply holds no text",
            stopped=stopped,
            prompt_tokens=_count(usage, "prompt_tokens"),
            tokens=_count(usage, "completion_tokens"),
        )


def _text_of(content: Any) -> str:
    """Return the text of a message: a string, or a list of parts of which some are text.

    Raises:
        TypeError: it is something else.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError("no text")
    parts = [part.get("text", "") for part in content if part.get("type") in ("text", None)]
    return "".join(parts)


def _count(usage: Any, name: str) -> int:
    """Return a number of tokens; 0, not known, where it is no such number."""
    found = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(found, bool) or not isinstance(found, int):
        return 0
    return found if 0 <= found < 2**53 else 0


def _key(url: str, variable: str) -> str | None:
    """Return the key from the environment; None where there is none.

    Raises:
        UserError: the key would cross a network unencrypted, or is none.
    """
    found = (os.environ.get(variable) or "").strip() or None
    if found and not (found.isascii() and found.isprintable()):
        raise UserError(f"{variable} holds characters that no key has; set it again, or unset it")
    here = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    if found and not here and not url.startswith("https"):
        raise UserError(f"{variable} would be sent to {url} unencrypted; use https, or unset it")
    return found


def _retry_after(answer: Answer) -> float | None:
    """Return the seconds that a server asks to wait, within reason; None where it does not say."""
    asked = answer.headers.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            until = parsedate_to_datetime(asked)
            seconds = (until - datetime.now(until.tzinfo)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), _LONGEST_HOLD)
