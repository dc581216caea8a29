"""The same for programs without asyncio. It runs the asynchronous code in a thread of its own.

Two threads may use a bridge or a run at the same time.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from agentwire import _bridge, _parts, _run, _threads
from agentwire._cancelled import Cancelled as AsyncCancelled
from agentwire._run import OnCancel
from agentwire._signals import Answer, SteeringMessage
from agentwire.deliveries import Delivery, UserMessage

__all__ = ["Answer", "Bridge", "Cancelled", "Message", "Run", "SteeringMessage", "Threads", "Tool"]

A = TypeVar("A")
# Covariant: what `Run` inherits is a method of `_Sync[Run]`, too.
A_co = TypeVar("A_co", covariant=True)
R = TypeVar("R")
P = ParamSpec("P")
Handler = Callable[[UserMessage], None]


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="agentwire", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        rest = asyncio.all_tasks(self.loop)
        for task in rest:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        self.loop.close()

    def call(self, work: Coroutine[Any, Any, R]) -> R:
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("agentwire.sync was called from its own event loop: use agentwire")
        future: Future[R] = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C while it waits
            raise

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


class _Sync(Generic[A_co]):
    """An object of the asynchronous library, and the loop that it belongs to."""

    def __init__(self, loop: _Loop, inner: A_co) -> None:
        self._loop = loop
        self._inner = inner


def _blocking(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[_Sync[A], P], R]:
    """The same method, which returns when the asynchronous one has."""

    def call(self: _Sync[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._loop.call(method(self._inner, *args, **kwargs))

    call.__doc__ = method.__doc__
    call.__name__ = method.__name__
    return call


class _Block(_Sync[A_co]):
    """What is used with `with`."""

    def __enter__(self) -> Self:
        self._loop.call(cast(Any, self._inner).__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call(cast(Any, self._inner).__aexit__(kind, error, trace))


class Cancelled(_Sync[AsyncCancelled]):
    """`if run.cancelled`, `run.cancelled.wait()`."""

    wait = _blocking(AsyncCancelled.wait)

    def __bool__(self) -> bool:
        return self._inner.is_set()

    def is_set(self) -> bool:
        return self._inner.is_set()


class Tool(_Block[_parts.Tool]):
    start = _blocking(_parts.Tool.start)
    args_delta = _blocking(_parts.Tool.args_delta)
    complete = _blocking(_parts.Tool.complete)
    fail = _blocking(_parts.Tool.fail)

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def result(self) -> Any:
        return self._inner.result

    @result.setter
    def result(self, value: Any) -> None:
        self._inner.result = value


class Message(_Block[_parts.Message]):
    delta = _blocking(_parts.Message.delta)
    complete = _blocking(_parts.Message.complete)
    interrupt = _blocking(_parts.Message.interrupt)

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def content(self) -> str:
        return self._inner.content


class Run(_Block[_run.Run]):
    thinking = _blocking(_run.Run.thinking)
    respond = _blocking(_run.Run.respond)
    report = _blocking(_run.Run.report)
    publish = _blocking(_run.Run.publish)
    ask = _blocking(_run.Run.ask)
    flush = _blocking(_run.Run.flush)
    complete = _blocking(_run.Run.complete)
    fail = _blocking(_run.Run.fail)
    cancel = _blocking(_run.Run.cancel)

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def cancelled(self) -> Cancelled:
        return Cancelled(self._loop, self._inner.cancelled)

    def tool(self, name: str, args: Any = None, **options: Any) -> Tool:
        """The options are those of `agentwire.Run.tool`."""
        return Tool(self._loop, self._inner.tool(name, args, **options))

    def message(self, message_id: str | None = None) -> Message:
        return Message(self._loop, self._inner.message(message_id))

    def child(self, agent: str, **options: Any) -> Run:
        """The options are those of `agentwire.Run.child`."""
        return Run(self._loop, self._inner.child(agent, **options))

    def steering(self, *, wait: bool = True) -> Iterator[SteeringMessage]:
        """The same as of `agentwire.Run`."""
        messages = self._inner.steering(wait=wait)

        async def following() -> SteeringMessage | None:
            return await anext(messages, None)

        while (message := self._loop.call(following())) is not None:
            yield message


class Threads(_Sync[_threads.Threads]):
    get = _blocking(_threads.Threads.get)
    put_members = _blocking(_threads.Threads.put_members)
    delete = _blocking(_threads.Threads.delete)
    list = _blocking(_threads.Threads.list)
    events = _blocking(_threads.Threads.events)
    runs = _blocking(_threads.Threads.runs)
    redact = _blocking(_threads.Threads.redact)
    trim = _blocking(_threads.Threads.trim)


class Bridge(_Sync[_bridge.Bridge]):
    """The arguments are those of `agentwire.Bridge`."""

    def __init__(self, url: str | None = None, *, key: str | None = None, **options: Any) -> None:
        super().__init__(_Loop(), _bridge.Bridge(url, key=key, **options))
        self.threads = Threads(self._loop, self._inner.threads)
        # Threads are started as they are needed; the server bounds how many that is.
        self._pool = ThreadPoolExecutor(1000, thread_name_prefix="agentwire handler")

    publish = _blocking(_bridge.Bridge.publish)
    revoke = _blocking(_bridge.Bridge.revoke)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, grace: float = 30.0) -> None:
        try:
            self._loop.call(self._inner.close(grace))
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._loop.close()

    def run(
        self,
        thread: str | UserMessage,
        agent: str,
        *,
        parent: Run | str | None = None,
        task: str | None = None,
        lease: float | None = None,
        run_id: str | None = None,
        on_cancel: OnCancel = "raise",
        signals: bool = True,
        traceparent: str | None = None,
    ) -> Run:
        run = self._inner.run(
            thread,
            agent,
            task=task,
            parent=parent._inner if isinstance(parent, Run) else parent,
            lease=lease,
            run_id=run_id,
            on_cancel=on_cancel,
            signals=signals,
            traceparent=traceparent,
        )
        return Run(self._loop, run)

    def on_message(self, handler: Handler) -> Handler:
        """The handler of messages; each one runs in a thread of its own."""

        async def answer(message: UserMessage) -> None:
            await asyncio.get_running_loop().run_in_executor(self._pool, handler, message)

        self._inner.on_message(answer)
        return handler

    def deliver(self, delivery: Delivery) -> None:
        """Starts the handler of a delivery that `agentwire.webhook.verify` gave."""
        self._loop.loop.call_soon_threadsafe(self._inner.deliver, delivery)

    def work(self, max: int = 16, *, grace: float = 30.0) -> None:
        """Takes deliveries until SIGTERM or Ctrl-C; handlers have up to `grace` seconds then."""
        stop = asyncio.Event()

        def stop_soon(*_: object) -> None:
            self._loop.loop.call_soon_threadsafe(stop.set)

        in_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, stop_soon) if in_main else None
        work = self._inner.work(max, grace=grace, stop=stop, handle_sigterm=False)
        future = asyncio.run_coroutine_threadsafe(work, self._loop.loop)
        try:
            future.result()
        except KeyboardInterrupt:
            stop_soon()
            future.result()
            raise
        finally:
            if in_main:
                signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
