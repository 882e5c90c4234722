"""Jobs in order for each connection, and connections at the same time: what hooks need.

Workers are started when there is more to do than the ones at hand can begin with, and kept: no task per job. A job
runs in a copy of the context that it was submitted in (a request id, a trace), as a queued handler does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from bus.context import DONE, Runner
from bus.errors import QueueFull
from bus.workers import Workers

Job = Callable[[], Coroutine[Any, Any, None]]

MAX_WORKERS = 1_000
MAX_JOBS_PER_KEY = 1_000
_JOBS_BETWEEN_CHECKPOINTS = 32


class Lanes:
    """Runs jobs of one key one after the other, those of different keys side by side. Jobs must not raise."""

    def __init__(self, workers: Workers, name: str) -> None:
        self._workers = workers
        self._name = name
        self._lanes: dict[str, deque[tuple[Job, Context]]] = {}
        self._ready: deque[str] = deque()
        self._idle: list[anyio.Event] = []
        self._number_of_workers = 0
        self._coming = False

    def submit(self, key: str, job: Job) -> None:
        """Run ``job`` after all earlier ones of ``key``.

        :raises QueueFull: so many jobs of this key wait already that one of them must hang
        """
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = deque([(job, copy_context())])
            self._ready.append(key)
            self._call_worker()
        elif len(lane) >= MAX_JOBS_PER_KEY:
            raise QueueFull(f"{len(lane)} calls for {key} wait behind one that does not end")
        else:
            lane.append((job, copy_context()))

    def _call_worker(self) -> None:
        if self._coming:
            return
        if self._idle:
            self._coming = True
            self._idle.pop().set()
        elif self._number_of_workers < MAX_WORKERS:
            self._coming = True
            self._number_of_workers += 1
            self._workers.start_soon(self._work, name=self._name)

    async def _work(self) -> None:
        jobs = 0
        runner = Runner(_Caller())
        self._coming = False
        while True:
            while self._ready:
                key = self._ready.popleft()
                if self._ready:
                    self._call_worker()  # this job may wait long: somebody has to take the next
                lane = self._lanes[key]
                job, context = lane[0]
                trap = context.run(runner.send, job)
                if trap is not DONE:
                    await runner.rest(context, trap)
                if runner.error is not None:
                    raise runner.error
                lane.popleft()
                if lane:
                    self._ready.append(key)
                else:
                    del self._lanes[key]
                jobs += 1
                if jobs % _JOBS_BETWEEN_CHECKPOINTS == 0:
                    await checkpoint()
            called = anyio.Event()
            self._idle.append(called)
            await called.wait()
            self._coming = False


class _Caller:
    """What a runner calls a job with."""

    def __init__(self) -> None:
        self.call: Callable[[Any], Coroutine[Any, Any, None]] = _call


def _call(job: Job) -> Coroutine[Any, Any, None]:
    return job()
