"""What outsiders know a connection by, beside its id: its call id, and the keys that its definition declares.

A web-hook often names only the provider's call id, or only the customer's number. Its connection is found by look-up,
and until somebody holds what it names, it waits like any early event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from bus.event import Event
from bus.names import matches
from statemachines.table.compiling import Guard, Value
from statemachines.table.record import Identity, Record
from statemachines.table.step import Steps

CALL_ID = "call_id"

Key = tuple[str, str | int]
"""What kind of key, and its value: ``("call_id", "wamid.7")``, or the name of a declared one."""


@frozen(eq=False)
class _Declared:
    """One of the definition's ``keys``: which events bind it, and what is its value."""

    name: str
    binds: tuple[tuple[str, Guard | bool], ...]
    value: Value


class Keys:
    """Which connection holds which key. ``ended`` tells whether a connection needs its keys no more."""

    def __init__(self, steps: Steps, ended: Callable[[str], bool]) -> None:
        compiler = steps.table.compiler
        self._blank = steps.blank
        self._ended = ended
        self._holders: dict[str, dict[str | int, str]] = {}
        """By kind and value: a pair of both for each connection would weigh more than all the rest."""
        self._declared = tuple(
            _Declared(
                name,
                tuple(
                    (trigger.event, True if trigger.when is None else compiler.guard(trigger.when))
                    for trigger in key.on
                ),
                compiler.value(key.value),
            )
            for name, key in steps.definition.keys.items()
        )

    @property
    def declares(self) -> bool:
        """Whether there are keys beside the call id."""
        return bool(self._declared)

    def __len__(self) -> int:
        return sum(len(holders) for holders in self._holders.values())

    def holder(self, key: Key) -> str | None:
        """The connection that holds a key, an ended one that is retained included."""
        kind, value = key
        holders = self._holders.get(kind)
        return None if holders is None else holders.get(value)

    def living_holder(self, key: Key) -> str | None:
        """The living connection that holds a key."""
        holder = self.holder(key)
        return None if holder is None or self._ended(holder) else holder

    def named_by(self, event: Event) -> list[Key]:
        """The keys that an event without a connection id can be found by, its call id first."""
        found: list[Key] = [] if event.call_id is None else [(CALL_ID, event.call_id)]
        for declared in self._declared:
            value = _key_value(declared.value(self._blank, event))
            if value is not None:
                found.append((declared.name, value))
        return found

    def told_by(self, event: Event, record: Record) -> list[Key]:
        """The keys that an event gives to its connection, which has none of their kind yet."""
        held = kinds_of(record.identity)
        told: list[Key] = []
        if event.call_id is not None and CALL_ID not in held:
            told.append((CALL_ID, event.call_id))
        for declared in self._declared:
            if declared.name in held or any(kind == declared.name for kind, _ in told):
                continue
            if any(
                matches(pattern, event.type) and (when is True or (when is not False and when(record, event)))
                for pattern, when in declared.binds
            ):
                value = _key_value(declared.value(record, event))
                if value is not None:
                    told.append((declared.name, value))
        return told

    def given_by(self, metadata: Mapping[str, Any]) -> list[Key]:
        """The declared keys that a registration's metadata has entries for."""
        values = ((declared.name, _key_value(metadata.get(declared.name))) for declared in self._declared)
        return [(name, value) for name, value in values if value is not None]

    def bind(self, keys: Iterable[Key], connection_id: str) -> None:
        """Let a connection be found by these."""
        for kind, value in keys:
            self._holders.setdefault(kind, {})[value] = connection_id

    def clear(self) -> None:
        """Let nobody be found any more."""
        self._holders.clear()

    def release(self, identity: Identity) -> None:
        """A connection is forgotten: nobody finds it any more."""
        for kind, value in keys_of(identity):
            if self.holder((kind, value)) == identity.connection_id:
                del self._holders[kind][value]


def keys_of(identity: Identity) -> list[Key]:
    """All keys that a connection holds."""
    return [*([] if identity.call_id is None else [(CALL_ID, identity.call_id)]), *identity.keys]


def kinds_of(identity: Identity) -> set[str]:
    """Which kinds of keys a connection holds."""
    return {kind for kind, _ in keys_of(identity)}


def _key_value(value: Any) -> str | int | None:
    """A value that can be a key: a text or an integer, and not nothing."""
    if isinstance(value, str):
        return value or None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
