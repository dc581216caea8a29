"""Requests to the server: the key, errors, repeats, and streams of lines."""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from agentwire._json import encode
from agentwire.errors import ApiError, BridgeUnreachable, api_error
from agentwire.options import Retry

__all__ = ["Transport", "can_repeat", "thread_path"]

log = logging.getLogger("agentwire")

# The server sends an empty line every 15 seconds.
SILENCE = 40.0
# No delivery is larger than the largest frame of a page; this only bounds memory.
LONGEST_LINE = 64 * 1024 * 1024


def thread_path(key: str) -> str:
    """The path of a thread: its key is one segment."""
    if not key:
        raise ValueError("the key of a thread is empty; for the thread `plan` of `ada`: ada/plan")
    return f"/v1/threads/{quote(key, safe='')}"


class Transport:
    def __init__(
        self,
        url: str,
        key: str,
        retry: Retry,
        timeout: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"the address of the server must begin with http(s)://, not {url!r}")
        self.retry = retry
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._clock_ahead_ms = 0
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(timeout),
            # Each open run holds one stream: a pool with a limit would stop the runs after it.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            transport=transport,
            follow_redirects=False,  # the key goes to this server only
        )

    async def close(self) -> None:
        await self._client.aclose()

    def server_time_ms(self) -> int:
        """The clock of the server, as its answers tell it; to a second."""
        return int(time.time() * 1000) + self._clock_ahead_ms

    async def once(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """One request. Raises `ApiError`, or what httpx raises."""
        sent = dict(headers or {})
        if body is not None:
            sent["content-type"] = "application/json"
        response = await self._client.request(
            method,
            self._url + path,
            content=body,
            params=params,
            headers=sent,
            timeout=httpx.Timeout(timeout or self._timeout),
        )
        self._learn_clock(response)
        return _answer(response)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """A request that can be repeated, until it has an answer or `Retry.give_up` is over."""
        if body is not None:
            content = encode(body)
        loop = asyncio.get_running_loop()
        began = loop.time()
        failures = 0
        while True:
            try:
                return await self.once(method, path, body=content, params=params, headers=headers)
            except (ApiError, httpx.RequestError) as error:
                if not can_repeat(error):
                    raise
                failures += 1
                retry_after = error.retry_after if isinstance(error, ApiError) else None
                wait = self.retry.wait(failures, retry_after)
                elapsed = loop.time() - began
                if elapsed + wait > self.retry.give_up:
                    raise BridgeUnreachable(
                        f"{method} {path} had no success in {elapsed:.1f} s and {failures} tries, "
                        f"the last one: {reason(error)}"
                    ) from error
                log.info("%s %s: %s; again in %.2f s", method, path, reason(error), wait)
            await asyncio.sleep(wait)

    @asynccontextmanager
    async def lines(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, Any] | None]]:
        """A stream of JSON lines; None for an empty one. One connection: the caller reconnects."""
        timeout = httpx.Timeout(self._timeout, read=SILENCE)
        async with self._client.stream(
            "GET", self._url + path, params=params, timeout=timeout
        ) as response:
            self._learn_clock(response)
            if response.status_code != 200:
                await response.aread()
                _answer(response)
                raise ApiError(
                    response.status_code, "no_stream", "the answer is not a stream of lines"
                )
            yield _json_lines(response.aiter_bytes())

    def _learn_clock(self, response: httpx.Response) -> None:
        try:
            sent = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
        except ValueError:
            return
        ahead = int(sent.timestamp() * 1000) - int(time.time() * 1000)
        # The header counts whole seconds: a smaller difference says nothing.
        self._clock_ahead_ms = ahead if abs(ahead) > 2000 else 0


def can_repeat(error: BaseException) -> bool:
    if isinstance(error, ApiError):
        return error.can_repeat
    return isinstance(error, httpx.RequestError)


def reason(error: BaseException) -> str:
    """The text of a failure; some of httpx have none."""
    return str(error) or type(error).__name__


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        body: object = json.loads(response.content) if response.content else {}
    except ValueError:
        body = None
    if response.status_code >= 300:
        raise api_error(response.status_code, body, _retry_after(response))
    if not isinstance(body, dict):
        # 502: whatever answered, it was not the server.
        raise ApiError(502, "bad_answer", "the answer is not a JSON object; check the address")
    return body


def _retry_after(response: httpx.Response) -> float | None:
    try:
        seconds = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


async def _json_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any] | None]:
    # httpx splits lines at U+2028 and others too, which JSON texts can hold.
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > LONGEST_LINE:
                raise ApiError(502, "bad_answer", "a line of the stream has no end")
            continue
        *whole, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in whole:
            if not line.strip():
                yield None
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise ApiError(502, "bad_answer", "a line of the stream is not JSON") from error
            if isinstance(value, dict):
                yield value
