"""Tasks with an owner: a task group that can be ended without ending the code that opened it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup, TaskStatus


class Workers:
    """Runs tasks until :meth:`stop`, or until the ``async with`` block that owns it ends.

    Cancelling a plain task group would cancel the code inside its ``async with`` too. Here the tasks have a group of
    their own. An error of the user's block comes out as it is, not wrapped in the group's ``ExceptionGroup``.
    """

    def __init__(self) -> None:
        self._outer: TaskGroup
        self._inner: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._outer = await anyio.create_task_group().__aenter__()
        try:
            await self._outer.start(self._run)
        except BaseException as error:
            await self._outer.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self.stop()
        if isinstance(exc, anyio.get_cancelled_exc_class()):
            return await self._outer.__aexit__(exc_type, exc, traceback)
        try:
            await self._outer.__aexit__(None, None, None)
        except anyio.get_cancelled_exc_class():
            if exc is None:
                raise
        return None

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: object, name: str) -> None:
        """Start a task."""
        assert self._inner is not None
        self._inner.start_soon(function, *args, name=name)

    def stop(self) -> None:
        """Cancel all tasks. Idempotent."""
        if self._inner is not None:
            self._inner.cancel_scope.cancel()

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        async with anyio.create_task_group() as self._inner:
            task_status.started()
            await anyio.sleep_forever()
