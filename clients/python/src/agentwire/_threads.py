"""Threads: who may use them, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from agentwire._json import given
from agentwire._transport import Transport, thread_path

__all__ = ["Threads", "thread_key"]


def thread_key(user: str, name: str) -> str:
    """The key of a thread of a user, where each user has threads of their own."""
    return f"{_part(user)}/{_part(name)}"


def _part(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


class Threads:
    """`bridge.threads`. The answers are those of docs/HTTP.md, section "Threads"."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, key: str) -> dict[str, Any]:
        return await self._transport.request("GET", thread_path(key))

    async def put_members(self, key: str, members: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Who may do what, in place of what was put before."""
        body = {"members": {user: list(rights) for user, rights in members.items()}}
        return await self._transport.request("PUT", thread_path(key), body=body)

    async def delete(self, key: str) -> dict[str, Any]:
        return await self._transport.request("DELETE", thread_path(key))

    async def list(self, *, after: str | None = None, limit: int | None = None) -> dict[str, Any]:
        params = {name: str(value) for name, value in given(after=after, limit=limit).items()}
        return await self._transport.request("GET", "/v1/threads", params=params)

    async def events(
        self, key: str, *, start: int | None = None, limit: int | None = None
    ) -> dict[str, Any]:
        """Events from the offset `start` on: `{"epoch", "oldest", "head", "first", "events"}`."""
        params = {"from": start, "limit": limit}
        texts = {name: str(value) for name, value in params.items() if value is not None}
        return await self._transport.request("GET", f"{thread_path(key)}/events", params=texts)

    async def runs(self, key: str) -> dict[str, Any]:
        """The open runs."""
        return await self._transport.request("GET", f"{thread_path(key)}/runs")

    async def redact(self, key: str, offset: int) -> dict[str, Any]:
        return await self._transport.request("DELETE", f"{thread_path(key)}/events/{offset}")

    async def trim(self, key: str, through: int) -> dict[str, Any]:
        """Forgets the events up to the offset `through`."""
        body = {"through": through}
        return await self._transport.request("POST", f"{thread_path(key)}/trim", body=body)

    async def revoke(self, user: str) -> int:
        answer = await self._transport.request("POST", f"/v1/users/{quote(user, safe='')}/revoke")
        return int(answer.get("sockets", 0))
