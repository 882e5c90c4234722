"""What followed from a connection's steps and is not carried out yet."""

from __future__ import annotations

from collections import deque

from attrs import define

from statemachines.connections.consequences import Consequence


@define(eq=False)
class Outbox:
    """The items of one connection. ``busy`` while a task carries them out; ``publishing`` is the id of the event that
    this task is just handing to the bus."""

    items: deque[Consequence]
    busy: bool = False
    publishing: str | None = None
