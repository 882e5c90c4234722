"""From callbacks to the bus: what a callback tells is published in the order told, by one task that somebody owns.

A callback of another library must not wait, and a task for each would lose the order. So a callback only puts the event
into a queue. The queue outlives its reader: while a cancelled call is being closed, its callbacks may still tell
something, and must not fail for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import create_memory_object_stream, create_task_group

from bus import Event, EventBus

Tell = Callable[[Event], None]
"""Say that something happened. Never waits; raises ``anyio.WouldBlock`` when the bus has stopped taking events."""

MAX_UNPUBLISHED = 256
"""A call has some twenty events."""


@asynccontextmanager
async def telling(bus: EventBus) -> AsyncIterator[Tell]:
    """A function for callbacks to call; at the end of the block all that was told has been published."""
    told, unpublished = create_memory_object_stream[Event](MAX_UNPUBLISHED)

    async def publish() -> None:
        async for event in unpublished:
            await bus.publish_event(event)

    with unpublished:
        async with create_task_group() as tasks:
            tasks.start_soon(publish)
            with told:
                yield told.send_nowait
