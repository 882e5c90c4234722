"""The same event twice within a window reaches its subscribers once. Publishing."""

from __future__ import annotations

import json
from collections import deque
from hashlib import blake2b
from marshal import dumps
from math import inf
from typing import TYPE_CHECKING, Any, Literal

import anyio
import attrs
from attrs import field, frozen, validators

from bus.causality import inside_handler_of
from bus.event import Event, generated_ids
from bus.interchange import payload_to_plain
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription


Key = str | bytes


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
        seen = _Seen(bus, self.window_s, self.max_entries)
        states, order, clock, max_entries = seen.states, seen.order, bus.clock, self.max_entries

        async def deduplicate(event: Event) -> None:
            key = identity(event)
            if key in states and await seen.is_duplicate(key):
                await bus.report_dropped(event, "deduplication", "duplicate")
                return
            states[key] = None
            try:
                await call_next(event)
            except BaseException:
                del states[key]
                seen.settle(key)
                raise
            at = states[key] = clock.now()
            order.append(key)
            if seen.waiting:
                seen.settle(key)
            if at >= seen.next_forgotten_at or len(order) > max_entries:
                seen.forget(at)

        return deduplicate


class _Seen:
    """What was published lately, or is on its way.

    :ivar states: by identity: None while the event is on its way, and when it was published, once it was
    :ivar waiting: by identity: for those who wait for what comes of an event on its way
    :ivar order: those published, the oldest first
    :ivar next_forgotten_at: when the oldest of them leaves the window
    """

    __slots__ = ("_bus", "_max_entries", "_window_s", "next_forgotten_at", "order", "states", "waiting")

    def __init__(self, bus: EventBus, window_s: float, max_entries: int) -> None:
        self.states: dict[Key, float | None] = {}
        self.waiting: dict[Key, anyio.Event] = {}
        self.order: deque[Key] = deque()
        self.next_forgotten_at = -inf
        self._bus = bus
        self._window_s = window_s
        self._max_entries = max_entries

    async def is_duplicate(self, key: Key) -> bool:
        """Whether the event was published within the window; if it is on its way, wait for what comes of that."""
        while True:
            self.forget(self._bus.clock.now())
            if key not in self.states:
                return False
            if self.states[key] is not None or inside_handler_of(self._bus):
                return True
            await self.waiting.setdefault(key, anyio.Event()).wait()

    def settle(self, key: Key) -> None:
        """It is known what came of an event: those who wait for that go on."""
        waiting = self.waiting.pop(key, None)
        if waiting is not None:
            waiting.set()

    def forget(self, now: float) -> None:
        """Forget what is outside of the window, and the oldest of too many."""
        order, states = self.order, self.states
        self.next_forgotten_at = -inf
        while order:
            published = states[order[0]]
            assert published is not None
            self.next_forgotten_at = published + self._window_s
            if self.next_forgotten_at > now and len(order) <= self._max_entries:
                return
            del states[order.popleft()]
        self.next_forgotten_at = -inf


def identity(event: Event) -> Key:
    """What makes two events the same: the id that a publisher gave, else type, connection, keys and payload.

    Texts or bytes, since a hundred thousand of them are kept and the garbage collector need not look into those.
    """
    if not event.id.startswith(generated_ids.prefix):
        return event.id
    data = event.data
    if data.__class__ is not dict:
        if not hasattr(data, "__attrs_attrs__"):
            return _of_anything(event, data)
        data = {name: value for name, value in attrs.asdict(data, recurse=False).items() if value is not None}
    fields: Any = data.items()
    try:
        if len(data) > 1:
            fields = sorted(fields)
        key = dumps((event.type, event.connection_id, event.call_id, event.tenant_id, *fields), _NO_REFERENCES)
    except (TypeError, ValueError):  # keys that cannot be sorted, values of other kinds
        return _of_anything(event, data)
    # What is written without a mapping or set inside has but one way of being written.
    if _MAPPING in key or _SET in key or _FROZEN_SET in key:
        return _of_anything(event, data)
    return key if len(key) < _LONG else blake2b(key, digest_size=32).digest()


def _of_anything(event: Event, data: Any) -> Key:
    text = repr((event.type, event.connection_id, event.call_id, event.tenant_id, _as_text(data)))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=32).digest()


_NO_REFERENCES = 2
"""The last version of marshal's format in which equal values are always written the same."""
_MAPPING, _SET, _FROZEN_SET = b"{<>"
_LONG = 300
"""What takes more bytes than this is remembered by its digest."""


def _as_text(data: Any) -> str:
    try:
        return json.dumps(payload_to_plain(data), sort_keys=True, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys that cannot be sorted; a payload that contains itself
        return repr(data)
