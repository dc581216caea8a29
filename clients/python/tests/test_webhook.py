"""Webhooks: signatures, timestamps, replays, rotation, and the router of FastAPI."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from agentwire import Bridge, UserMessage
from agentwire.deliveries import parse
from agentwire.errors import WebhookRefused
from agentwire.fastapi import router
from agentwire.webhook import Seen, sign, verify
from tests.fake import Fake
from tests.test_deliveries import message

Make = Callable[..., Bridge]
SECRET = "whsec_" + base64.b64encode(b"a secret of tests").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret").decode()
NOW = 1_790_000_000


def signed(body: bytes, secret: str = SECRET, at: int = NOW) -> dict[str, str]:
    return {
        "Webhook-Id": "dlv-1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": sign("dlv-1", at, body, secret),
    }


BODY = json.dumps(message(1)).encode()


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert (
        sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, secret)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    mac = hmac.new(b"a secret of tests", b"i.5." + body, hashlib.sha256).digest()
    assert sign("i", 5, body, SECRET) == "v1," + base64.b64encode(mac).decode()


def test_what_fits_is_parsed() -> None:
    delivery = verify(signed(BODY), BODY, SECRET, now=NOW + 300)
    assert isinstance(delivery, UserMessage)
    assert (delivery.thread, delivery.send_id, delivery.attempt) == ("ada/plan", "s-1", 1)


def test_old_and_new_secret_fit_while_they_are_changed() -> None:
    for secret in (SECRET, OTHER):
        verify(signed(BODY, secret), BODY, [OTHER, SECRET], now=NOW)
    both = signed(BODY)
    both["Webhook-Signature"] = f"v1a,xyz v1,AAAA {both['Webhook-Signature']}"
    verify(both, BODY, SECRET, now=NOW)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"body": BODY + b" "}, 401),
        ({"secret": OTHER}, 401),
        ({"now": NOW + 301}, 401),
        ({"now": NOW - 301}, 401),
        ({"headers": {"Webhook-Id": "dlv-2"}}, 401),
        ({"headers": {"Webhook-Timestamp": str(NOW + 1)}}, 401),
        ({"headers": {"Webhook-Timestamp": "soon"}}, 401),
        ({"headers": {"Webhook-Timestamp": "9" * 5000}}, 401),
        ({"headers": {"Webhook-Signature": ""}}, 401),
        ({"headers": {"Webhook-Signature": "v1"}}, 401),
        ({"headers": {"Webhook-Signature": "v2," + sign("dlv-1", NOW, BODY, SECRET)[3:]}}, 401),
        ({"headers": {"Webhook-Signature": "v1,\u00e4\ud800"}}, 401),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], status: int) -> None:
    headers = {**signed(BODY), **change.get("headers", {})}
    with pytest.raises(WebhookRefused) as refused:
        verify(
            headers,
            change.get("body", BODY),
            change.get("secret", SECRET),
            now=change.get("now", NOW),
        )
    assert refused.value.status == status


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"id":1}', b"[" * 100_000, b"\xff"])
def test_a_signed_body_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookRefused) as refused:
        verify(signed(body), body, SECRET, now=NOW)
    assert refused.value.status == 400


def test_a_secret_of_another_form_is_an_error_of_the_program() -> None:
    for secret in ("whsec_", "whsec_%%%", ""):
        with pytest.raises(ValueError, match="secret"):
            verify(signed(BODY), BODY, secret, now=NOW)
    with pytest.raises(ValueError, match="secret"):
        verify(signed(BODY), BODY, [], now=NOW)


def test_each_attempt_is_new_once_and_memory_is_bounded() -> None:
    seen = Seen(size=3)
    assert seen.is_new(parse(message(1)))
    assert not seen.is_new(parse(message(1)))
    assert seen.is_new(parse(message(1, attempt=2)))
    for n in range(2, 5):
        assert seen.is_new(parse(message(n)))
    assert not seen.is_new(parse(message(4)))
    assert seen.is_new(parse(message(1)))  # forgotten


class Backend:
    """A FastAPI program with the router, and requests to it as the server makes them."""

    def __init__(self, bridge: Bridge, **options: Any) -> None:
        app = FastAPI()
        app.include_router(router(bridge, secret=[OTHER, SECRET], **options))
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://app")

    async def post(
        self, n: int, secret: str = SECRET, at: float | None = None, attempt: int = 1
    ) -> tuple[int, Any]:
        body = json.dumps(message(n, attempt)).encode()
        headers = signed(body, secret, int(at or time.time()))
        answer = await self.client.post("/agentwire", content=body, headers=headers)
        return answer.status_code, answer.json()


async def test_the_router_answers_before_the_handler_is_over(fake: Fake, make: Make) -> None:
    go_on = asyncio.Event()
    handled: list[str] = []
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a") as run:
                handled.append(message.content)
                await go_on.wait()
                await run.respond("yes")

        backend = Backend(bridge, max_handlers=1)
        async with backend.client:
            assert await backend.post(1) == (200, {})
            assert (await backend.post(2))[0] == 503  # one is at work, and no more are allowed
            go_on.set()
            await bridge._handlers.finish(10)
            assert await backend.post(1) == (200, {})  # a replay
            assert (await backend.post(1, at=time.time() - 400))[0] == 401
            assert (await backend.post(1, "whsec_AAAA"))[0] == 401
            assert await backend.post(2) == (200, {})
    assert handled == ["question 1", "question 2"]
    assert fake.types().count("agent_completed") == 2  # closing the bridge waited for it
    assert not fake.accepted  # the answer was enough


async def test_the_router_says_how_a_handler_without_a_run_ended(fake: Fake, make: Make) -> None:
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            if message.send_id == "s-1":
                raise ValueError("password hunter2")
            if message.send_id == "s-3":
                await asyncio.Event().wait()

        backend = Backend(bridge, answer_after=0.01)
        async with backend.client:
            assert await backend.post(1) == (500, {"message": "ValueError"})
            assert await backend.post(1, attempt=3) == (422, {"message": "ValueError"})
            assert await backend.post(2) == (200, {"done": True})
            assert await backend.post(3) == (200, {})
            assert await backend.post(3, attempt=2) == (200, {})
            assert bridge.working_on == 1
        await bridge.close(grace=0)


async def test_a_handler_that_is_stopped_before_its_run_leaves_no_request_open(
    fake: Fake, make: Make
) -> None:
    entered = asyncio.Event()
    async with make() as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            entered.set()
            await asyncio.Event().wait()

        backend = Backend(bridge, answer_after=60)
        async with backend.client:
            posting = asyncio.create_task(backend.post(1))
            await entered.wait()
            await bridge.close(grace=0)
            assert (await posting)[0] == 500  # the server sends it again


def test_the_router_checks_its_secrets_at_the_start(make: Make) -> None:
    with pytest.raises(ValueError, match="secret"):
        router(make(), secret="whsec_%")
