"""A recording: what the outside world told the bus, as JSON lines that replay without a WebRTC stack."""

from __future__ import annotations

import json
from typing import TextIO

from bus import Event, EventBus, EventType, event_to_dict

FROM_OUTSIDE = (EventType.CONNECTION_CREATED, "whatsapp.*", "webrtc.*", "ai.*")
"""What is recorded. All else follows from it: the lifecycle publishes it, and publishes it again in a replay."""
FIELDS = ("type", "connection_id", "timestamp", "data", "call_id", "tenant_id")


def line_of(event: Event) -> str:
    """The event as one line of JSON, without the fields that say nothing."""
    plain = event_to_dict(event)
    return json.dumps({name: plain[name] for name in FIELDS if name in plain}, ensure_ascii=False)


def record(bus: EventBus, file: TextIO) -> None:
    """Write every event from outside to the file, in the order published, until the bus is closed.

    ``connection.created`` comes from the registration, and is the one event of the lifecycle that is kept: a replay
    registers the connection by it.
    """

    def write(event: Event) -> None:
        file.write(line_of(event) + "\n")

    for pattern in FROM_OUTSIDE:
        # Inline: written inside `publish`, so the four subscriptions together keep the order.
        bus.subscribe(pattern, write, inline=True)
