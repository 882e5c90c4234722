"""What a move is, as a small number in a graph and as a word in a story."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from statemachines.exploration.events import Symbol

Kind = Literal["event", "timer", "wait", "back", "fault"]
Fault = Literal["lose", "duplicate", "reorder"]


@frozen
class Label:
    """An event that comes, a timer that fires, time that passes, an own event that comes back.

    A ``fault`` is an event that is lost, comes again or comes late; with no ``fault``, one that does not come yet.
    """

    kind: Kind
    symbol: Symbol | None = None
    timer: int | None = None
    fault: Fault | None = None


WAIT, BACK = Label("wait"), Label("back")
