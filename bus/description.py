"""Who listens to what on a bus, for people: :meth:`EventBus.describe`."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from bus.names import matches


@frozen
class Listener:
    """Somebody who hears events.

    :ivar name: of the handler, or what else it is
    :ivar kind: ``queued``, ``inline``, ``batch``, ``stream``, ``wait`` or ``lifecycle``
    :ivar pattern: which events, None if the listener chooses for itself
    :ivar connection_id: of which connection, None for all
    :ivar details: what is not as usual about it, as in ``concurrency 4``
    """

    name: str
    kind: str
    pattern: str | None
    connection_id: str | None
    details: tuple[str, ...] = ()
    _chooses: Callable[[str], bool] | None = field(default=None, repr=False, eq=False)

    def hears(self, event_type: str, connection_id: str | None = None) -> bool:
        """Whether an event of this type and connection reaches it."""
        if self.pattern is not None:
            meant = matches(self.pattern, event_type)
        else:
            meant = self._chooses is None or self._chooses(event_type)
        return meant and (self.connection_id is None or self.connection_id == connection_id)


@frozen
class BusDescription:
    """What surrounds publishing and delivery, outermost first, and who listens. ``str()`` of it is for people."""

    publishing: tuple[str, ...]
    delivery: tuple[str, ...]
    listeners: tuple[Listener, ...]

    def listeners_to(self, event_type: str, connection_id: str | None = None) -> tuple[Listener, ...]:
        """Who hears such an event."""
        return tuple(listener for listener in self.listeners if listener.hears(event_type, connection_id))

    def __str__(self) -> str:
        lines = [
            "publish → " + " → ".join([*self.publishing, "fan-out"]),
            "deliver → " + " → ".join([*self.delivery, "handler"]),
        ]
        by_pattern: dict[str, list[Listener]] = {}
        for listener in self.listeners:
            by_pattern.setdefault(listener.pattern or "(its own choice)", []).append(listener)
        for pattern, listeners in sorted(by_pattern.items()):
            lines.append(pattern)
            lines += [f"    {_line(listener)}" for listener in listeners]
        return "\n".join(lines)


def _line(listener: Listener) -> str:
    whose = [] if listener.connection_id is None else [f"of {listener.connection_id}"]
    return ", ".join([f"{listener.name} ({listener.kind})", *whose, *listener.details])
