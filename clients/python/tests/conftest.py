from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from agentwire import Batch, Bridge, Retry
from tests.fake import KEY, Fake

#: Waits of milliseconds: a test of repeats has hundreds of them.
FAST = Retry(first=0.001, longest=0.002, give_up=30.0)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs `async def` tests, each in a loop of its own, at most 30 seconds."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def run() -> None:
        async with asyncio.timeout(30):
            await pyfuncitem.obj(**arguments)

    asyncio.run(run())
    return True


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def make(fake: Fake) -> Callable[..., Bridge]:
    """Makes a bridge that talks to the fake."""

    def make(**options: Any) -> Bridge:
        options.setdefault("retry", FAST)
        options.setdefault("batch", Batch(delay=0.001))
        return Bridge("http://fake", key=KEY, transport=fake, **options)

    return make
