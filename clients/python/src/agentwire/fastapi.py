"""The webhook as a router of FastAPI: `app.include_router(router(bridge, secret=...))`."""

from __future__ import annotations

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
) -> APIRouter:
    """Answers at once; the handler of the bridge runs as a task of the same event loop.

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
        if seen.is_new(delivery):
            bridge.deliver(delivery)
        return JSONResponse({})

    return routes
