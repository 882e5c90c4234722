"""Between buses: what carries events to another process, the one in memory, and the bridge that joins a bus to one."""

from bus.transports.bridge import Bridge
from bus.transports.interface import Delivery, Features, Transport, TransportClosed
from bus.transports.memory import MemoryTransport

__all__ = ["Bridge", "Delivery", "Features", "MemoryTransport", "Transport", "TransportClosed"]
