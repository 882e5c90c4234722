"""A wrong event is refused at its publisher; nobody has received it. Publishing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from attrs import Factory, field, frozen

from bus.errors import InvalidEvent
from bus.event import Event
from bus.middleware.base import Next
from bus.names import EventType, is_event_name

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription

REQUIRED_FIELDS: dict[str, tuple[str, ...]] = {
    EventType.SDP_OFFER_RECEIVED: ("sdp",),
    EventType.SDP_ANSWER_GENERATED: ("sdp",),
    EventType.AUDIO_TRACK_READY: ("track_type",),
    EventType.WHATSAPP_CALL_STARTED: ("call_id",),
    EventType.WHATSAPP_CALL_ACCEPTED: ("call_id",),
    EventType.WHATSAPP_CALL_TERMINATED: ("call_id",),
}
"""What the Go original asks of its events: an SDP its text, an audio track its type, a call event its call id."""


@frozen
class Validation:
    """Raises :class:`~bus.InvalidEvent` for a bad name, an empty connection id, or a missing required field.

    ``required`` maps an event's type to the payload fields that must be there and not empty. An event's own ``call_id``
    counts as its payload's.
    """

    required: Mapping[str, tuple[str, ...]] = Factory(lambda: REQUIRED_FIELDS)
    kind: Literal["publish"] = field(default="publish", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain behind the check."""

        async def validate(event: Event) -> None:
            self.check(event)
            await call_next(event)

        return validate

    def check(self, event: Event) -> None:
        """Raise :class:`~bus.InvalidEvent` if something is wrong with the event."""
        if not is_event_name(event.type):
            raise InvalidEvent(event.type, "type", "a name is two or more tokens, as in namespace.action (lower case)")
        if event.connection_id == "":
            raise InvalidEvent(event.type, "connection_id", "is empty; None is for events that are found by a key")
        for name in self.required.get(event.type, ()):
            if event.field(name) in (None, "") and not (name == "call_id" and event.call_id):
                raise InvalidEvent(event.type, name, "is missing from the payload")
