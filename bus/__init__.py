"""An event bus for asyncio and trio: ordered per connection, bounded, structured. Knows nothing of state machines.

async with EventBus(middleware=default_chain()) as bus:
    @bus.subscribe("webrtc.*")
    async def hear(event): ...

    await bus.publish(EventType.AUDIO_TRACK_READY, WebRTCEventData(connection_id="conn_1", track_type="audio"))
"""

from bus.bus import EventBus
from bus.description import BusDescription
from bus.errors import (
    BusClosed,
    CausalityLoop,
    CircuitOpen,
    InvalidEvent,
    PhasebusError,
    QueueFull,
    RateLimitExceeded,
)
from bus.event import Event
from bus.interchange import event_from_dict, event_from_json, event_to_dict, event_to_json
from bus.middleware import Retry, default_chain, delivery_middleware, production_chain, publish_middleware
from bus.names import EventType, matches
from bus.payloads import AIEventData, HandlerFailure, WebRTCEventData, WhatsAppEventData
from bus.pending import DrainTimeout
from bus.statistics import BusStatistics
from bus.stream import EventStream
from bus.subscription import Subscription

__all__ = [
    "AIEventData",
    "BusClosed",
    "BusDescription",
    "BusStatistics",
    "CausalityLoop",
    "CircuitOpen",
    "DrainTimeout",
    "Event",
    "EventBus",
    "EventStream",
    "EventType",
    "HandlerFailure",
    "InvalidEvent",
    "PhasebusError",
    "QueueFull",
    "RateLimitExceeded",
    "Retry",
    "Subscription",
    "WebRTCEventData",
    "WhatsAppEventData",
    "default_chain",
    "delivery_middleware",
    "event_from_dict",
    "event_from_json",
    "event_to_dict",
    "event_to_json",
    "matches",
    "production_chain",
    "publish_middleware",
]
