"""What a scenario says, as attrs classes: connections, what happens to them and when, and what is expected.

Times are seconds of virtual time. Read from a file by ``scenario_file``, run by ``simulator``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, frozen


@frozen
class Registration:
    """How a connection is registered; the same as the arguments of ``register_connection``."""

    call_id: str | None = None
    tenant_id: str | None = None
    dependencies: tuple[str, ...] | None = None
    timeouts: Mapping[str, float] = Factory(dict)
    metadata: Mapping[str, Any] = Factory(dict)


@frozen
class Publish:
    """An event comes. ``connection_id`` is None for one that is to be found by its ``call_id`` or a key in its data."""

    type: str
    connection_id: str | None = None
    data: Mapping[str, Any] = Factory(dict)
    call_id: str | None = None
    tenant_id: str | None = None


@frozen
class Register:
    """A connection is registered now instead of at the start."""

    connection: str
    registration: Registration = Registration()


@frozen
class Mark:
    """A dependency is marked ready by hand."""

    connection: str
    dependency: str


@frozen
class Terminate:
    """A connection is ended by hand."""

    connection: str
    reason: str | None = None


@frozen
class Wait:
    """Virtual time passes."""

    seconds: float


@frozen
class Expect:
    """What must hold now. What is None is not asked.

    :ivar phase: the phase, or any active state's id
    :ivar configuration: all active states, in document order
    :ivar dependencies: some of them, each with ``pending``, ``ready`` or ``failed``
    :ivar published: types that were published for the connection by now, in this order (others may stand between)
    :ivar not_published: types that were not published for it by now
    :ivar called: hooks that were called for it by now, in this order (others may stand between)
    :ivar not_called: hooks that were not called for it by now
    """

    connection: str
    phase: str | None = None
    configuration: tuple[str, ...] | None = None
    dependencies: Mapping[str, str] | None = None
    published: tuple[str, ...] = ()
    not_published: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    not_called: tuple[str, ...] = ()


Action = Publish | Register | Mark | Terminate | Wait | Expect


@frozen
class ScenarioStep:
    """One step. ``at`` is absolute virtual time; None: right after the step before. ``line`` is where it stands."""

    action: Action
    at: float | None = None
    line: int = 0


@frozen
class Scenario:
    """A whole scenario, checked."""

    definition: str | None
    connections: Mapping[str, Registration]
    steps: tuple[ScenarioStep, ...]
    description: str = ""
    path: str = "<scenario>"
