"""What happened, line by line: the entries of a timeline, the same for the simulation and for a live run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import Factory, frozen

EntryKind = Literal[
    "event",
    "fact",
    "transition",
    "publish",
    "call",
    "timer",
    "early",
    "ignored",
    "rejected",
    "expect",
]


@frozen
class Entry:
    """One line. ``at`` is seconds since the start.

    ``details`` by kind: ``event`` type, data and what else the event says; ``fact`` name, value; ``transition`` from, to,
    event, configuration; ``publish`` type, data; ``call`` name; ``timer`` timer, state; ``early`` type, released;
    ``ignored`` type; ``rejected`` type, reason; ``expect`` ok, and for each thing asked what was expected and found.
    """

    at: float
    connection: str | None
    kind: EntryKind
    details: Mapping[str, Any] = Factory(dict)

    def to_dict(self) -> dict[str, Any]:
        """The entry as one JSON object."""
        return {"at": round(self.at, 6), "connection": self.connection, "kind": self.kind, **self.details}
