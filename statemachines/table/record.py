"""A connection: a small immutable record. A step makes a new one; nothing ever changes one in place."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import define

from statemachines.table.trail import Trail

if TYPE_CHECKING:
    from bus.event import Event
    from statemachines.table.layout import TimerSpec
    from statemachines.table.table import Situation


@define(weakref_slot=False)
class Identity:
    """What a connection is registered with. ``timeouts`` overrides the definition's, in seconds.

    Never assigned to after it is made, like a :class:`Record`.
    """

    connection_id: str
    call_id: str | None
    tenant_id: str | None
    timeouts: Mapping[str, float] | None
    metadata: Mapping[str, Any]
    created_at: float
    keys: tuple[tuple[str, str | int], ...] = ()
    """The declared keys that it is known by, beside its call id."""


class Timer(NamedTuple):
    """One running timer of one connection; ``deadline`` is on the monotonic clock, ``order`` that of arming.

    A tuple, because it stands in the queue of all timers just as it stands in its record: those due first come first.
    """

    deadline: float
    order: int
    connection_id: str
    spec: TimerSpec


next_order = count(1).__next__
"""The order of arming, the same for all connections."""


_NO_TRAIL = Trail()


@define(eq=False, weakref_slot=False)
class Record:
    """Where a connection stands: its configuration, its facts and its timers.

    ``ready``, ``failed`` and ``required`` hold one bit a dependency, ``remembered`` and ``visits`` one entry for each
    of the layout's. Times are Unix seconds. Never assigned to after it is made: not frozen only because that would
    triple the cost of making one.
    """

    identity: Identity
    situation: Situation
    ready: int
    failed: int
    required: int
    remembered: tuple[Any, ...]
    visits: tuple[int, ...]
    timers: tuple[Timer, ...]
    since: float
    updated_at: float
    """When facts, configuration or timers last changed; ``since`` is when the configuration did."""
    deferred: tuple[Event, ...] = ()
    """The events that wait for the next change of configuration, in order."""
    trail: Trail = _NO_TRAIL
    """How it came to where it is."""

    @property
    def connection_id(self) -> str:
        """The id that it is registered under."""
        return self.identity.connection_id

    @property
    def ended(self) -> bool:
        """Whether the chart has reached a final state of its top level."""
        return self.situation.final
