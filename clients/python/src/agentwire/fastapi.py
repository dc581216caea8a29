"""The webhook as a router of FastAPI: `app.include_router(router(bridge, secret=...))`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from agentwire._bridge import Bridge
from agentwire.errors import WebhookRefused
from agentwire.webhook import Seen, sign, verify

__all__ = ["router"]

# A delivery holds one message of a page; the server's bound on it is 1 MiB by default.
LARGEST_BODY = 16 * 1024 * 1024


def router(
    bridge: Bridge,
    *,
    secret: str | Sequence[str],
    path: str = "/agentwire",
    max_handlers: int = 1000,
    answer_after: float = 3.0,
) -> APIRouter:
    """The handler of the bridge runs as a task, and the route does not wait for its end.

    It answers when a run has claimed the message, the handler is over, or `answer_after` seconds
    have passed. So a message that needs no run is done, and one whose handler failed comes again.
    `secret` is one or several (while they are changed). With `max_handlers` at work the next
    delivery is answered with 503, and the server sends it again.
    """
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not secrets:
        raise ValueError("no secret: give at least one")
    for one in secrets:
        sign("", 0, b"", one)  # one of a wrong form is an error now, not at the first message
    seen = Seen()
    routes = APIRouter()

    @routes.post(path, include_in_schema=False)
    async def deliver(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                return JSONResponse({"message": "the body is too large"}, 413)
        try:
            delivery = verify(request.headers, bytes(body), secrets)
        except WebhookRefused as error:
            return JSONResponse({"message": str(error)}, error.status)
        if bridge.working_on >= max_handlers:
            return JSONResponse({"message": "busy"}, 503, headers={"retry-after": "1"})
        if not seen.is_new(delivery):
            return JSONResponse({})
        settle = _Answer(answer_after)
        bridge.deliver(delivery, settle)
        return await settle.response

    return routes


class _Answer:
    """The answer to the request that brought a delivery."""

    def __init__(self, accept_after: float) -> None:
        self.accept_after = accept_after
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    async def accept(self) -> None:
        self._set({}, 200)

    async def done(self) -> None:
        self._set({"done": True}, 200)

    async def again(self, message: str) -> None:
        self._set({"message": message}, 500)

    async def refuse(self, message: str) -> None:
        self._set({"message": message}, 422)

    def _set(self, body: dict[str, object], status: int) -> None:
        if not self.response.done():  # who asked may have gone
            self.response.set_result(JSONResponse(body, status))
