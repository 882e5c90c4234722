"""What followed from a connection's steps and is not carried out yet."""

from __future__ import annotations

from collections import deque

from attrs import define

from statemachines.connections.consequences import Consequence


@define(eq=False)
class Outbox:
    """The items of one connection.

    :ivar busy: a task is carrying them out
    :ivar publishing: the id of the event that this task is just handing to the bus
    :ivar handed_over: a worker has been told to carry them out, and has not begun yet
    """

    items: deque[Consequence]
    busy: bool = False
    publishing: str | None = None
    handed_over: bool = False
