"""Messages, cancels, approvals and steering of a page, with the real server between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from agentwire import Answer, Bridge, UserMessage
from agentwire.fastapi import router
from tests.page import Page
from tests.test_real import RETRY, free_port, pytestmark, serving, stored

__all__ = ["pytestmark"]


class Worker:
    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._stop = asyncio.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._bridge.work(stop=self._stop))

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task


async def test_a_worker_answers_a_page(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            assert (message.thread, message.thread_name, message.user) == (
                "ada/hello",
                "hello",
                "ada",
            )
            async with bridge.run(message, agent="echo") as run, run.message() as m:
                await m.delta("You said: ")
                await m.delta(message.content)

        async with Worker(bridge), Page(server.url, "hello") as page:
            for n in range(3):
                await page.ask(content=f"Hello {n}")
                await page.event("message_completed", content=f"You said: Hello {n}")
            await page.until(lambda: _count(page, "agent_completed") == 3)
        events = await stored(bridge, "ada/hello")
    sent = [e["sendId"] for e in events if e["type"] == "user_message"]
    assert [e["sendId"] for e in events if e["type"] == "agent_started"] == sent


async def test_a_message_without_a_run_makes_room_for_the_next(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            if message.content == "answer me":
                async with bridge.run(message, agent="a"):
                    pass

        async with Worker(bridge), Page(server.url, "hello") as page:
            await page.ask(content="nothing to say")
            await page.ask(content="answer me")
            await page.event("agent_completed")


async def test_a_message_that_is_edited_meanwhile_is_answered_as_it_is_now(tmp_path: Path) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            entered.set()
            await go_on.wait()
            async with bridge.run(message, agent="a") as run:
                await run.respond(message.content)

        async with Worker(bridge), Page(server.url, "hello") as page:
            sent = await page.ask(content="What changed since Monday?")
            await entered.wait()
            edited = await page.ask("edit", sendId=sent["id"], content="Since Tuesday?")
            assert edited["status"] == "accepted", edited
            go_on.set()
            await page.event("agent_completed")
            said = [event["content"] for event in page.events if event["type"] == "agent_response"]
            assert said == ["Since Tuesday?"]


async def test_a_page_cancels_approves_and_steers(tmp_path: Path) -> None:
    answers: list[Answer] = []
    steered: list[str] = []
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a") as run:
                schema: dict[str, Any] = {"type": "object"}
                answers.append(
                    await run.ask("Send it?", args={"to": "bob"}, editable=True, schema=schema)
                )
                answers.append(await run.ask("And now?", expires_in=0.5))
                async for more in run.steering():
                    steered.append(more.content)
                    break
                await run.thinking("for ever")
                await run.cancelled
                await run.thinking("never")

        async with Worker(bridge), Page(server.url, "hello") as page:
            await page.ask(content="Go")
            asked = await page.event("approval_requested", prompt="Send it?")
            receipt = await page.ask(
                "approve",
                runId=asked["runId"],
                approvalId=asked["approvalId"],
                decision="approved",
                editedArgs={"to": "eve"},
                argsHash=asked.get("argsHash"),
                reason="fine",
            )
            assert receipt["status"] == "accepted", receipt
            await page.event("approval_resolved", decision="expired")
            await page.ask(content="Only the notes", mode="steer", runId=asked["runId"])
            await page.event("steering_taken")
            await page.event("agent_thinking", text="for ever")
            await page.ask("cancel", runId=asked["runId"])
            await page.event("agent_cancelled")
            assert _count(page, "agent_thinking") == 1
    assert (answers[0].decision, answers[0].edited_args, answers[0].reason, answers[0].user) == (
        "approved",
        {"to": "eve"},
        "fine",
        "ada",
    )
    assert answers[1].decision == "expired"
    assert steered == ["Only the notes"]


async def test_a_worker_goes_on_after_a_crash_of_the_server(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with (
        serving(tmp_path) as server,
        Bridge(server.url, key=server.key, retry=RETRY) as bridge,
    ):

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a") as run:
                await run.thinking("before")
                await run.flush()
                await go_on.wait()
                answer = await run.ask("Still there?")
                await run.respond(answer.decision)

        async with Worker(bridge):
            async with Page(server.url, "hello") as page:
                await page.ask(content="Go")
                await page.event("agent_thinking")
            server.kill()
            go_on.set()
            await server.start()
            async with Page(server.url, "hello") as page:
                asked = await page.event("approval_requested")
                await page.ask(
                    "approve",
                    runId=asked["runId"],
                    approvalId=asked["approvalId"],
                    decision="denied",
                )
                await page.event("agent_response", content="denied")
                await page.event("agent_completed")
                assert _count(page, "agent_started") == 1
                await page.ask(content="Again")
                await page.until(lambda: _count(page, "agent_started") == 2)
                asked = await page.until(
                    lambda: [e for e in page.events if e["type"] == "approval_requested"][1:]
                )
                await page.ask(
                    "approve",
                    runId=asked[0]["runId"],
                    approvalId=asked[0]["approvalId"],
                    decision="approved",
                )
                await page.until(lambda: _count(page, "agent_completed") == 2)


async def test_a_handler_that_fails_is_told_to_the_page(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, Bridge(server.url, key=server.key) as bridge:

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="a"):
                raise ValueError("password hunter2")

        async with Worker(bridge), Page(server.url, "hello") as page:
            await page.ask(content="Go")
            error = await page.event("agent_error")
    assert (error["code"], error["message"]) == ("agent_failed", "ValueError")


async def test_a_webhook_answers_a_page(tmp_path: Path) -> None:
    port = free_port()
    webhook = f"http://127.0.0.1:{port}/agentwire"
    async with (
        serving(tmp_path, "--webhook", webhook) as server,
        Bridge(server.url, key=server.key) as bridge,
    ):

        @bridge.on_message
        async def answer(message: UserMessage) -> None:
            async with bridge.run(message, agent="echo") as run:
                await run.respond(message.content.upper())
                await run.cancelled
                await run.thinking("never")

        app = FastAPI()
        app.include_router(router(bridge, secret=["whsec_AAAA", server.secret]))
        backend = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
        backend.install_signal_handlers = lambda: None
        serve = asyncio.create_task(backend.serve())
        try:
            async with Page(server.url, "hello") as page:
                await page.ask(content="Hello")
                said = await page.event("agent_response", content="HELLO")
                await page.ask("cancel", runId=said["runId"])
                await page.event("agent_cancelled")
        finally:
            backend.should_exit = True
            await serve


def _count(page: Page, kind: str) -> int:
    return sum(event["type"] == kind for event in page.events)
