"""The same event twice within a window reaches its subscribers once. Publishing."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Literal

import anyio
from attrs import field, frozen, validators

from bus.event import Event, id_was_generated
from bus.interchange import payload_to_plain
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription


@frozen
class Deduplication:
    """Drops an event that was published already less than ``window_s`` seconds ago.

    Two events are the same if they have the same id, given by the publisher; without one, if type, connection and
    payload are equal. An event counts as published once that has succeeded, so a publisher may try again after an
    error. At most ``max_entries`` are remembered, the oldest forgotten first. ``clock`` returns seconds.
    """

    window_s: float = field(default=5.0, validator=validators.gt(0))
    max_entries: int = field(default=100_000, validator=validators.ge(1))
    clock: Callable[[], float] = field(default=anyio.current_time)
    kind: Literal["publish"] = field(default="publish", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain that sees each event once."""
        seen: OrderedDict[Hashable, float] = OrderedDict()
        under_way: set[Hashable] = set()

        async def deduplicate(event: Event) -> None:
            key = identity(event)
            now = self.clock()
            while seen and next(iter(seen.values())) <= now - self.window_s:
                seen.popitem(last=False)
            if key in seen or key in under_way:
                await bus.report_dropped(event, "deduplication", "duplicate")
                return
            under_way.add(key)
            try:
                await call_next(event)
            finally:
                under_way.discard(key)
            seen[key] = self.clock()
            if len(seen) > self.max_entries:
                seen.popitem(last=False)

        return deduplicate


def identity(event: Event) -> Hashable:
    """What makes two events the same: the id that a publisher gave, else type, connection, keys and payload."""
    if not id_was_generated(event):
        return event.id
    payload = json.dumps(payload_to_plain(event.data), sort_keys=True, default=repr)
    return (event.type, event.connection_id, event.call_id, event.tenant_id, payload)
