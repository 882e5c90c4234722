"""The last event of each type and connection, for those who subscribe a moment too late."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from bus.event import Event
from bus.names import EventType, matches
from bus.routing import Kept, Topic, Topics

NEWS = (EventType.HANDLER_FAILED, EventType.EVENT_DROPPED)
"""What the bus has to say of an event, often after the end of its connection."""


_blank = object.__new__


class RecentEvents:
    """Keeps at most ``limit`` events, with the topics: what has not come again for longest is given up first.

    Two generations share the room. A new event goes to ``last`` of its topic; once there are half as many as the limit,
    ``last`` becomes ``earlier``, and what was there is forgotten. So keeping an event costs a look-up, and nothing is
    ever put in order. What is kept of a connection is let go when its ``connection.terminated`` is published, which is
    not kept itself; nor is news of the bus about a connection of which nothing else is kept.

    What is replayed comes in the order published, by a clock that never jumps and tells any two events apart.
    """

    __slots__ = ("_half", "_kept", "_of_earlier", "_of_last", "_topics")

    def __init__(self, limit: int, topics: Topics) -> None:
        if limit < 2:
            raise ValueError(f"replay_limit must be at least 2, or 0 to keep nothing; not {limit}")
        self._half = limit // 2
        self._topics = topics
        self._kept = 0
        self._of_last: dict[str | None, list[Topic]] = {}
        self._of_earlier: dict[str | None, list[Topic]] = {}

    def __len__(self) -> int:
        return sum(len({*topic.last, *topic.earlier}) for topic in self._topics)

    def keep(self, topic: Topic, connection_id: str | None, event: Event | Callable[[], Event], now_ns: int) -> None:
        """Remember the event, or what makes it, as the last of its type and connection."""
        last = topic.last
        kept = last.get(connection_id)
        if kept is None:
            if topic.ends_connection:
                if connection_id is not None:
                    self.forget(connection_id)
                return
            if topic.counted_as is not topic or (topic.name in NEWS and not self._knows(connection_id)):
                return
            self._kept += 1
            if self._kept > self._half:
                self._grow_old()
                last = topic.last
            kept = last[connection_id] = _blank(Kept)
            of_connection = self._of_last.get(connection_id)
            if of_connection is None:
                self._of_last[connection_id] = [topic]
            else:
                of_connection.append(topic)
        kept.event = event
        kept.published_ns = now_ns

    def forget(self, connection_id: str | None) -> None:
        """Let go of what is kept of a connection."""
        for topic in self._of_last.pop(connection_id, ()):
            del topic.last[connection_id]
            self._kept -= 1
        for topic in self._of_earlier.pop(connection_id, ()):
            del topic.earlier[connection_id]

    def _knows(self, connection_id: str | None) -> bool:
        return connection_id in self._of_last or connection_id in self._of_earlier

    def matching(self, pattern: str, connection_id: str | None) -> list[Event]:
        """The last events that a subscription means, in the order published."""
        found: list[Kept] = []
        for topic in self._topics:
            if matches(pattern, topic.name):
                if connection_id is None:
                    found.extend({**topic.earlier, **topic.last}.values())
                else:
                    kept = topic.last.get(connection_id) or topic.earlier.get(connection_id)
                    if kept is not None:
                        found.append(kept)
        return [kept.made() for kept in sorted(found, key=attrgetter("published_ns"))]

    def _grow_old(self) -> None:
        for topic in self._topics:
            topic.earlier, topic.last = topic.last, {}
        self._of_earlier, self._of_last = self._of_last, {}
        self._kept = 1
