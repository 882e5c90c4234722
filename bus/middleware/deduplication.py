"""The same event twice within a window reaches its subscribers once. Publishing."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal

import anyio
import attrs
from attrs import field, frozen, validators

from bus.causality import inside_handler_of
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
    error; one that comes while the first is still on its way waits for its outcome (unless a handler publishes it,
    which must not wait). At most ``max_entries`` are remembered, the oldest forgotten first.
    """

    window_s: float = field(default=5.0, validator=validators.gt(0))
    max_entries: int = field(default=100_000, validator=validators.ge(1))
    kind: Literal["publish"] = field(default="publish", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain that sees each event once."""
        seen: OrderedDict[Hashable, float] = OrderedDict()
        under_way: dict[Hashable, _Outcome] = {}
        clock, window_s, max_entries = bus.clock, self.window_s, self.max_entries

        async def deduplicate(event: Event) -> None:
            key = identity(event)
            first = under_way.get(key) if under_way else None
            while first is not None and not inside_handler_of(bus):
                await first.known()
                first = under_way.get(key)
            _forget_before(seen, clock.now() - window_s)
            if first is not None or key in seen:
                await bus.report_dropped(event, "deduplication", "duplicate")
                return
            under_way[key] = outcome = _Outcome()
            try:
                await call_next(event)
                seen[key] = clock.now()
            finally:
                del under_way[key]
                outcome.settle()
            if len(seen) > max_entries:
                seen.popitem(last=False)

        return deduplicate


def _forget_before(seen: OrderedDict[Hashable, float], limit: float) -> None:
    while seen:
        oldest = next(iter(seen))
        if seen[oldest] > limit:
            return
        del seen[oldest]


class _Outcome:
    """Whether an event that is being published will have been; the event to wait on is made for those who do."""

    __slots__ = ("_settled",)

    def __init__(self) -> None:
        self._settled: anyio.Event | None = None

    async def known(self) -> None:
        """Wait until its publisher has succeeded or failed."""
        if self._settled is None:
            self._settled = anyio.Event()
        await self._settled.wait()

    def settle(self) -> None:
        """Its publisher has succeeded or failed."""
        if self._settled is not None:
            self._settled.set()


def identity(event: Event) -> Hashable:
    """What makes two events the same: the id that a publisher gave, else type, connection, keys and payload."""
    if not id_was_generated(event):
        return event.id
    return (event.type, event.connection_id, event.call_id, event.tenant_id, _content(event.data))


def _content(data: Any) -> Hashable:
    """The payload as a key: the same for a mapping and an object with the same fields."""
    content: Hashable
    try:
        if data.__class__ is dict:
            content = frozenset(data.items())
        elif attrs.has(data.__class__):
            fields = attrs.asdict(data, recurse=False).items()
            content = frozenset(item for item in fields if item[1] is not None)
        else:
            content = data
        hash(content)
    except TypeError:  # lists or mappings inside
        content = _as_text(data)
    return content


def _as_text(data: Any) -> str:
    try:
        return json.dumps(payload_to_plain(data), sort_keys=True, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys that cannot be sorted; a payload that contains itself
        return repr(data)
