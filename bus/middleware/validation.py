"""A wrong event is refused at its publisher; nobody has received it. Publishing.

What is to be checked is looked up once for each type. An event of which only the name matters, as of most, costs a
look-up in a dictionary, and no coroutine of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import evolve, field, frozen

from bus.errors import InvalidEvent
from bus.event import Event
from bus.middleware.base import Next
from bus.names import EventType, is_event_name, is_pattern, prefixes
from bus.structuring import Misfit, prepare, structure

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

MAX_KNOWN_TYPES = 10_000
"""Names may come from outside: when so many types are known, all are forgotten, and each is looked up once more."""

_ADDRESS = ("connection_id", "call_id", "tenant_id")


def _copy_required(given: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    return dict(given)


def _copy_payloads(given: Mapping[str, type]) -> Mapping[str, type]:
    return dict(given)


def _payload_classes(_: Any, __: Any, payloads: Mapping[str, type]) -> None:
    for pattern, cls in payloads.items():
        if not is_pattern(pattern):
            raise ValueError(f"payloads: {pattern!r} is no event name or pattern")
        if not isinstance(cls, type) or not attrs.has(cls):
            raise TypeError(f"payloads: {pattern} needs an attrs class, not {cls!r}")
        prepare(cls)


@frozen
class Validation:
    """Raises :class:`~bus.InvalidEvent` for a bad name, an empty connection id, or a payload that is not as it must be.

    :param required: the payload fields that must be there and not empty, by type of event. An event's own ``call_id``
        counts as its payload's
    :param payloads: the attrs class of the payload, by name or pattern of event; the closest pattern decides

    A payload of that class passes. A mapping must have the fields of the class, with values of their types (``"5"`` is
    no number), and satisfy its validators: then the subscribers get an object of the class. Any other payload is
    refused. What ``publish`` returns is the event as it was published.

    The keys that address an event (``connection_id``, ``call_id``, ``tenant_id``) are known to every class. One that
    the class has no field for is the event's own: it goes there, and must not contradict what is there. One that the
    class does have a field for, and the mapping does not say, is taken from the event.

    >>> Validation(payloads={"call.accepted": CallAccepted, "billing.*": Bill})      # doctest: +SKIP
    """

    required: Mapping[str, tuple[str, ...]] = field(factory=lambda: REQUIRED_FIELDS, converter=_copy_required)
    payloads: Mapping[str, type] = field(factory=dict, converter=_copy_payloads, validator=_payload_classes)
    kind: Literal["publish"] = field(default="publish", init=False)
    _rules: dict[str, _Rule] = field(factory=dict, init=False, repr=False, eq=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain behind the check."""
        rule_of = self._rules.get

        # Not async, because a coroutine more would be most of what it costs. The error is still raised when awaited.
        def validate(event: Event) -> Any:
            if rule_of(event.type) is _ONLY_THE_NAME and event.connection_id != "":
                return call_next(event)
            try:
                event = self.check(event)
            except InvalidEvent as error:
                return _refuse(error)
            return call_next(event)

        return validate

    def check(self, event: Event) -> Event:
        """The event as subscribers get it, or :class:`~bus.InvalidEvent` if something is wrong with it."""
        rule = self._rules.get(event.type) or self._new_rule(event.type)
        if event.connection_id == "":
            raise InvalidEvent(event.type, "connection_id", "is empty; None is for events that are found by a key")
        for name in rule.required:
            if event.field(name) in (None, "") and not (name == "call_id" and event.call_id):
                raise InvalidEvent(event.type, name, "is missing from the payload")
        return event if rule.payload is None else _with_payload(event, rule.payload)

    def _new_rule(self, event_type: str) -> _Rule:
        if not is_event_name(event_type):
            raise InvalidEvent(event_type, "type", "a name is two or more tokens, as in namespace.action (lower case)")
        closest = (self.payloads[p] for p in (event_type, *prefixes(event_type), "*") if p in self.payloads)
        rule = _Rule(tuple(self.required.get(event_type, ())), next(closest, None))
        if rule == _ONLY_THE_NAME:
            rule = _ONLY_THE_NAME
        if len(self._rules) >= MAX_KNOWN_TYPES:
            self._rules.clear()
        self._rules[event_type] = rule
        return rule


@frozen
class _Rule:
    """What is asked of the events of one type, beside its name."""

    required: tuple[str, ...]
    payload: type | None


_ONLY_THE_NAME = _Rule((), None)


async def _refuse(error: InvalidEvent) -> None:
    raise error


def _with_payload(event: Event, cls: type) -> Event:
    """The event with an object of the class as its payload."""
    if isinstance(event.data, cls):
        return event
    if not isinstance(event.data, Mapping):
        got = type(event.data).__qualname__
        raise InvalidEvent(event.type, "data", f"must be a mapping or {cls.__qualname__}, not {got}")
    fields = dict(event.data)
    own = {name: getattr(event, name) for name in _ADDRESS}
    of_class = {attribute.name for attribute in attrs.fields(cls) if attribute.init}
    for name in own:
        if name not in of_class:
            own[name] = _address(event, name, fields.pop(name, None), cls)
        elif own[name] is not None:
            fields.setdefault(name, own[name])
    try:
        payload: Any = structure(fields, cls)
    except Misfit as misfit:
        raise InvalidEvent(event.type, misfit.path or None, misfit.problem) from None
    return evolve(event, data=payload, **own)


def _address(event: Event, name: str, said: Any, cls: type) -> Any:
    """The event's own key, or the one of its payload, which may be either's."""
    own = getattr(event, name)
    if said is None or (said == own and isinstance(said, str)):
        return own
    if own is not None:
        raise InvalidEvent(
            event.type, name, f"is not the event's own {name}, and {cls.__qualname__} has no field for another"
        )
    if not isinstance(said, str) or not said:
        raise InvalidEvent(event.type, name, "must be a text that is not empty")
    return said
