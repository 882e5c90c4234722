"""What a caller sees of a connection: a value, taken at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from statemachines.table.layout import Layout
from statemachines.table.record import Record


@frozen
class ConnectionState:
    """A connection as it stood when this was taken. Times are Unix seconds.

    :ivar phase: the active leaf's id; empty when all states were left
    :ivar configuration: all active states, in document order
    :ivar dependencies: every declared dependency with ``pending``, ``ready`` or ``failed``
    :ivar ready_conditions: the dependencies that this connection requires, and whether each is ready
    :ivar metadata: what it was registered with, and what it remembered since
    :ivar ended: whether it is in a final state of the top level
    """

    id: str
    call_id: str | None
    tenant_id: str | None
    phase: str
    configuration: tuple[str, ...]
    dependencies: Mapping[str, str]
    ready_conditions: Mapping[str, bool]
    created_at: float
    updated_at: float
    metadata: Mapping[str, Any]
    ended: bool = False

    @property
    def awaited(self) -> list[str]:
        """The required dependencies that it still waits for; none once it has ended."""
        return [] if self.ended else [name for name, ready in self.ready_conditions.items() if not ready]


def state_of(record: Record, layout: Layout) -> ConnectionState:
    """The record as callers see it."""
    identity = record.identity
    ready = record.ready
    metadata = dict(identity.metadata)
    for name, value in zip(layout.remembered, record.remembered, strict=True):
        if value is not None:
            metadata[name] = value
    return ConnectionState(
        id=identity.connection_id,
        call_id=identity.call_id,
        tenant_id=identity.tenant_id,
        phase=record.situation.phase,
        configuration=record.situation.configuration,
        dependencies=layout.statuses(ready, record.failed),
        ready_conditions={name: ready & layout.bits[name] != 0 for name in layout.named(record.required)},
        created_at=identity.created_at,
        updated_at=record.updated_at,
        metadata=metadata,
        ended=record.ended,
    )
