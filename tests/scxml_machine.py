"""A document run by python-statemachine's own SCXML reader, one event at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from statemachine.engines.sync import SyncEngine
from statemachine.io import load
from statemachine.orderedset import OrderedSet

MAX_MICROSTEPS = 200


class Idle(BaseException):
    """Only delayed events are left: the library would sleep until the first is due."""


class Circle(BaseException):
    """The eventless transitions never settle."""


class _Parent:
    """What the machine sends to its parent session: what it publishes, and the hooks it calls."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send_to_parent(self, event: str, /, **data: Any) -> None:
        self.sent.append((event, data))


class ScxmlMachine:
    """The machine of a document; ``order`` is the document order of its states' ids."""

    def __init__(self, document: str, order: list[str]) -> None:
        self.order = order
        self.parent = _Parent()
        self.machine: Any = None
        made: Any = load(document, format="scxml")
        made._invoke_session = self.parent  # where <send target='#_parent'> goes
        self.cls = made

    def start(self) -> list[tuple[str, dict[str, Any]]]:
        def make() -> None:
            self.machine = object.__new__(self.cls)
            self.machine.__init__()

        return self._run(make)

    def send(self, event: str, data: Mapping[str, Any] | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Send an event from outside; returns what went to the parent. Regions act in document order (SCXML 3.13)."""
        active = set(self.machine.configuration_values)
        self.machine.current_state_value = OrderedSet(s for s in ["Connection", *self.order] if s in active)
        return self._run(lambda: self.machine.send(event, **(data or {})))

    def fire(self, timer: str) -> list[tuple[str, dict[str, Any]]]:
        """Let a pending timer fire now."""
        self.machine.cancel_event(timer)
        return self.send(timer)

    @property
    def configuration(self) -> list[str]:
        active = set(self.machine.configuration_values)
        return [state for state in self.order if state in active]

    def _run(self, act: Any) -> list[tuple[str, dict[str, Any]]]:
        self.parent.sent = []
        taken = 0

        def sleep(_: float) -> None:
            raise Idle

        def microstep(engine: Any, *arguments: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken > MAX_MICROSTEPS:
                raise Circle
            heap = engine.external_queue.queue.queue
            if len(heap) > 20:  # the library keeps what was cancelled until it is due
                heap[:] = sorted(timer for timer in heap if not timer.cancelled)
            return original(engine, *arguments)

        original = SyncEngine.microstep
        with (
            patch("statemachine.engines.sync.sleep", sleep),
            patch.object(SyncEngine, "microstep", microstep),
            suppress(Idle),
        ):
            act()
        return self.parent.sent
