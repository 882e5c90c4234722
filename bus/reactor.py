"""How a lifecycle sits on the bus: it hears every event at once, and carries out what follows a moment later.

A queue between the bus and a lifecycle would let ``publish`` return before the connection has moved. A reactor is
instead called inside the fan-out, where nothing can come between or be cancelled halfway, and must not wait. What it
then wants to publish it publishes in :meth:`Reactor.carry_out`, which may wait and may be cancelled.
"""

from __future__ import annotations

from typing import Protocol

from bus.event import Event


class Reactor(Protocol):
    """Something that reacts to events in step with the bus; see :meth:`EventBus.attach`."""

    def names(self, event_type: str) -> bool:
        """Whether events of this type can matter here: if so, they have a listener."""

    def receive(self, event: Event) -> bool:
        """Take note of an event; whether anything follows from it, to be carried out. Never waits and never raises."""

    async def carry_out(self, event: Event) -> None:
        """Publish what followed from an event, if anything did. Must bear being cancelled at any point."""

    def take_over(self, event: Event) -> None:
        """The publisher was cancelled: carry out what is left in a task of your own. Never waits and never raises."""
