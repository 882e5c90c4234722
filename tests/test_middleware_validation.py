"""Validation: a wrong event is refused at its publisher, and nobody has received it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pytest
from attrs import define, field, frozen, validators

from bus import AIEventData, Event, EventBus, EventType, InvalidEvent, WebRTCEventData, WhatsAppEventData
from bus.middleware import Validation
from bus.middleware.validation import MAX_KNOWN_TYPES
from tests.bus_helpers import Recorder

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("event", "field", "message"),
    [
        (Event("Ready"), "type", "invalid event Ready: type: a name is two or more tokens"),
        (Event("a.*"), "type", "invalid event a.*: type: a name is two or more tokens"),
        (Event("a.b", ""), "connection_id", "invalid event a.b: connection_id: is empty; None is for events"),
        (Event(EventType.SDP_OFFER_RECEIVED), "sdp", "webrtc.sdp_offer_received: sdp: is missing from the payload"),
        (Event(EventType.SDP_ANSWER_GENERATED, data={"sdp": ""}), "sdp", "is missing from the payload"),
        (Event(EventType.AUDIO_TRACK_READY, data=WebRTCEventData(ssrc=1)), "track_type", "is missing"),
        (Event(EventType.WHATSAPP_CALL_STARTED, data=WhatsAppEventData()), "call_id", "is missing"),
        (Event(EventType.WHATSAPP_CALL_ACCEPTED), "call_id", "is missing"),
        (Event(EventType.WHATSAPP_CALL_TERMINATED), "call_id", "is missing"),
    ],
)
async def test_a_wrong_event_is_refused_with_its_field_and_nobody_receives_it(
    event: Event, field: str, message: str
) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation()]) as bus:
        bus.subscribe("*", heard)
        bus.subscribe("*", heard, inline=True)
        with pytest.raises(InvalidEvent) as raised:
            await bus.publish_event(event)
        assert bus.stats().total_events == 0
    assert message in str(raised.value)
    assert (raised.value.event_type, raised.value.field) == (event.type, field)
    assert heard.events == []


@pytest.mark.parametrize(
    "event",
    [
        Event("a.b"),
        Event(EventType.SDP_OFFER_RECEIVED, "c", {"sdp": "v=0"}),
        Event(EventType.AUDIO_TRACK_READY, "c", WebRTCEventData(track_type="audio")),
        Event(EventType.WHATSAPP_CALL_ACCEPTED, "c", {"call_id": "1"}),
        Event(EventType.WHATSAPP_CALL_ACCEPTED, call_id="1"),
    ],
)
async def test_a_good_event_passes(event: Event) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation()]) as bus:
        bus.subscribe("*", heard)
        await bus.publish_event(event)
    assert heard.events == [event]


async def test_ones_own_required_fields_are_asked_for() -> None:
    required: dict[str, Any] = {"device.seen": ("serial", "model")}
    async with EventBus(middleware=[Validation(required=required)]) as bus:
        with pytest.raises(InvalidEvent, match=r"device\.seen: model"):
            await bus.publish("device.seen", {"serial": 0})
        await bus.publish("device.seen", {"serial": 0, "model": "x"})
        await bus.publish(EventType.SDP_OFFER_RECEIVED)


async def test_without_validation_nothing_is_asked_for() -> None:
    async with EventBus() as bus:
        await bus.publish(EventType.SDP_OFFER_RECEIVED)
        assert bus.stats().total_events == 1


async def test_the_error_comes_when_publishing_is_awaited() -> None:
    async with EventBus(middleware=[Validation()]) as bus:
        publishing = bus.publish_event(Event("Ready"))
        with pytest.raises(InvalidEvent):
            await publishing


async def test_an_event_is_checked_each_time() -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation(payloads={"call.ended": Ended})]) as bus:
        bus.subscribe("*", heard)
        for _ in range(2):
            await bus.publish("a.b", connection_id="c")
            await bus.publish("call.ended", {"reason": "busy"})
            for event in Event("a.b", ""), Event("a.B"), Event("call.ended", None, {"reason": 5}):
                with pytest.raises(InvalidEvent):
                    await bus.publish_event(event)
    assert [event.data for event in heard.events] == [{}, Ended("busy")] * 2


def test_names_from_outside_are_not_remembered_without_end() -> None:
    validation = Validation()
    for number in range(MAX_KNOWN_TYPES + 10):
        validation.check(Event(f"a.b{number}"))
    assert len(validation._rules) == 10
    with pytest.raises(InvalidEvent):
        validation.check(Event("a.B"))


# -- payload classes --------------------------------------------------------------------------------------------------


class Codec(Enum):
    OPUS = "opus"
    PCMU = "pcmu"


@frozen
class Party:
    number: str
    parent: Party | None = None
    others: list[Party] = field(factory=list)


@dataclass(frozen=True)
class Gateway:
    port: int


@frozen
class CallAccepted:
    """Every kind of field that a payload may reasonably have."""

    caller: Party
    attempts: int = field(default=1, validator=validators.ge(1))
    name: str = field(default="", validator=validators.max_len(3))
    seconds: float = 0.0
    answered: bool = False
    raw: bytes = b""
    codecs: list[str] = field(factory=list)
    ports: tuple[int, ...] = ()
    place: tuple[float, str] = (0.0, "")
    tags: Set[str] = frozenset()
    levels: Sequence[float] = ()
    scores: dict[str, int] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)
    at: datetime | None = None
    file: Path | None = None
    codec: Codec = Codec.OPUS
    kind: Literal["audio", "video", 1] = "audio"
    peer: Party | Gateway | None = None
    amount: float | int | str = 0
    spelled: int = field(default=0, converter=int)
    way: str = field(default="in", validator=validators.in_(["in", "out"]))
    anything: Any = None


@define
class Ended:
    """Nothing of who it was about."""

    reason: str = "hangup"


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def made(payload: Any, cls: type = CallAccepted, **fields: Any) -> Any:
    """The payload as subscribers get it."""
    return Validation(payloads={"call.accepted": cls}).check(Event("call.accepted", "c", payload, **fields)).data


def refused(payload: Any, cls: type = CallAccepted, **fields: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as raised:
        made(payload, cls, **fields)
    assert raised.value.event_type == "call.accepted"
    return raised.value


async def test_subscribers_get_an_object_of_the_class_and_the_publisher_the_event_as_it_was() -> None:
    heard, inline = Recorder(), Recorder()
    async with EventBus(middleware=[Validation(payloads={"call.accepted": CallAccepted})]) as bus:
        bus.subscribe("call.*", heard)
        bus.subscribe("call.*", inline, inline=True)
        published = await bus.publish("call.accepted", {"caller": {"number": "1"}}, connection_id="c", tenant_id="t")
    assert published.data == {"caller": {"number": "1"}}
    (event,) = heard.events
    assert inline.events == [event]
    assert event.data == CallAccepted(Party("1"))
    assert (event.id, event.connection_id, event.tenant_id) == (published.id, "c", "t")
    assert event.timestamp == published.timestamp


async def test_a_payload_that_does_not_fit_is_refused_and_nobody_receives_it() -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation(payloads={"call.accepted": CallAccepted})]) as bus:
        bus.subscribe("*", heard)
        with pytest.raises(InvalidEvent) as raised:
            await bus.publish("call.accepted", {"caller": {"number": "1"}, "attempts": "5"})
    assert str(raised.value) == "invalid event call.accepted: attempts: must be int, not str"
    assert heard.events == []


def test_an_object_of_the_class_passes_as_it_is() -> None:
    class Special(Ended):
        pass

    for payload in (Ended("busy"), Special()):
        assert made(payload, Ended) is payload


@pytest.mark.parametrize("payload", [AIEventData(), [1], "text"])
def test_any_other_payload_is_refused(payload: Any) -> None:
    error = refused(payload)
    assert (error.field, error.problem) == (
        "data",
        f"must be a mapping or CallAccepted, not {type(payload).__qualname__}",
    )


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"seconds": 5}, 5.0),
        ({"codecs": ("opus",)}, ["opus"]),
        ({"ports": [1, 2]}, (1, 2)),
        ({"place": [1, "x"]}, (1.0, "x")),
        ({"tags": ["a", "a"]}, frozenset("a")),
        ({"levels": [1]}, [1.0]),
        ({"scores": MappingProxyType({"a": 1})}, {"a": 1}),
        ({"extra": {"a": [None]}}, {"a": [None]}),
        ({"at": NOON}, NOON),
        ({"at": None}, None),
        ({"codec": "pcmu"}, Codec.PCMU),
        ({"codec": Codec.PCMU}, Codec.PCMU),
        ({"kind": 1}, 1),
        ({"raw": b"x"}, b"x"),
        ({"peer": {"number": "2"}}, Party("2")),
        ({"peer": {"port": 2}}, Gateway(2)),
        ({"peer": Gateway(2)}, Gateway(2)),
        ({"amount": 5}, 5),
        ({"amount": 5.5}, 5.5),
        ({"amount": "5"}, "5"),
        ({"spelled": "5"}, 5),
        ({"anything": {1: 2}}, {1: 2}),
    ],
)
def test_what_fits_is_taken(given: dict[str, Any], got: Any) -> None:
    (name,) = given
    value = getattr(made({"caller": Party("1"), **given}), name)
    assert (value, type(value)) == (got, type(got))


@pytest.mark.parametrize(
    ("given", "path", "problem"),
    [
        ({"attempts": "5"}, "attempts", "must be int, not str"),
        ({"attempts": True}, "attempts", "must be int, not bool"),
        ({"attempts": 5.0}, "attempts", "must be int, not float"),
        ({"attempts": None}, "attempts", "must be int, not None"),
        ({"name": 5}, "name", "must be str, not int"),
        ({"seconds": "5"}, "seconds", "must be float, not str"),
        ({"seconds": False}, "seconds", "must be float, not bool"),
        ({"seconds": 10**400}, "seconds", "does not fit float"),
        ({"answered": 1}, "answered", "must be bool, not int"),
        ({"raw": 5}, "raw", "must be bytes, not int"),
        ({"codecs": "abc"}, "codecs", "must be list[str], not str"),
        ({"codecs": {"a": 1}}, "codecs", "must be list[str], not dict"),
        ({"codecs": ["a", 1]}, "codecs[1]", "must be str, not int"),
        ({"place": [1]}, "place", "must have 2 items, not 1"),
        ({"place": ["x", "y"]}, "place[0]", "must be float, not str"),
        ({"scores": [1]}, "scores", "must be dict[str, int], not list"),
        ({"scores": {"a": "1"}}, "scores['a']", "must be int, not str"),
        ({"scores": {1: 1}}, "scores[1]", "must be str, not int"),
        ({"at": "2024-01-01"}, "at", "must be datetime, not str"),
        ({"file": "/etc/passwd"}, "file", "must be Path, not str"),
        ({"codec": "g729"}, "codec", "must be one of 'opus', 'pcmu'"),
        ({"kind": True}, "kind", "must be one of 'audio', 'video', 1"),
        ({"peer": "me"}, "peer", "must be Party | Gateway | None, not str"),
        ({"amount": [1]}, "amount", "must be float | int | str, not list"),
        ({"caller": "me"}, "caller", "must be a mapping or Party, not str"),
        ({"caller": {}}, "caller.number", "is missing"),
        ({"caller": {"number": "1", "parent": {"number": 2}}}, "caller.parent.number", "must be str, not int"),
        ({"caller": {"number": "1", "others": [{"number": 2}]}}, "caller.others[0].number", "must be str, not int"),
        ({"caller": {"number": "1", "fax": "2"}}, "caller.fax", "unknown field; the fields are number, parent, others"),
        ({"fax": "2"}, "fax", "unknown field; the fields are caller, attempts, name"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(given: dict[str, Any], path: str, problem: str) -> None:
    error = refused({"caller": Party("1"), **given})
    assert error.field == path
    assert error.problem.startswith(problem)
    assert f"invalid event call.accepted: {path}: {problem}" in str(error)


def test_all_that_is_wrong_is_told_at_once_and_no_value_is_repeated() -> None:
    error = refused({"name": 4930123456, "codecs": [4930123456], "fax": "4930123456"})
    assert error.field == "caller"
    assert error.problem.startswith(
        "is missing; name: must be str, not int; codecs[0]: must be str, not int; fax: unknown field"
    )
    assert "4930123456" not in str(error)


def test_of_many_problems_only_the_first_are_told() -> None:
    problem = refused({"caller": Party("1"), "codecs": [1] * 1000}).problem
    assert problem.count("must be str") == 10
    assert problem.endswith("; codecs[9]: must be str, not int; and 990 more")


def test_the_validators_of_the_class_speak_for_themselves() -> None:
    assert refused({"caller": Party("1"), "attempts": 0}).problem == "'attempts' must be >= 1: 0"
    error = refused({"caller": Party("1"), "way": "up"})
    assert (error.field, error.problem) == ("way", "'way' must be in ['in', 'out'] (got 'up')")
    assert "invalid literal for int()" in refused({"caller": Party("1"), "spelled": "x"}).problem

    @frozen
    class Silent:
        def __attrs_post_init__(self) -> None:
            raise ValueError

    assert refused({}, Silent).problem == "ValueError"


@pytest.mark.parametrize(
    ("event_type", "cls"),
    [("call.leg.ended", Ended), ("call.leg.added", WebRTCEventData), ("call.ended", WhatsAppEventData)],
)
def test_the_closest_pattern_decides(event_type: str, cls: type) -> None:
    validation = Validation(
        payloads={"*": AIEventData, "call.*": WhatsAppEventData, "call.leg.*": WebRTCEventData, "call.leg.ended": Ended}
    )
    assert type(validation.check(Event(event_type)).data) is cls
    assert type(validation.check(Event("other.thing")).data) is AIEventData


def test_required_fields_are_asked_for_beside_the_class() -> None:
    validation = Validation(payloads={"webrtc.*": WebRTCEventData})
    with pytest.raises(InvalidEvent, match="sdp: is missing from the payload"):
        validation.check(Event(EventType.SDP_OFFER_RECEIVED, "c", {"ssrc": 1}))
    event = validation.check(Event(EventType.SDP_OFFER_RECEIVED, "c", {"sdp": "v=0"}))
    assert event.data == WebRTCEventData(connection_id="c", sdp="v=0")


# -- the keys that address an event -----------------------------------------------------------------------------------


async def test_a_class_without_a_connection_id_is_not_refused_for_the_one_that_publish_took() -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation(payloads={"call.ended": Ended})]) as bus:
        bus.subscribe("call.ended", heard)
        await bus.publish("call.ended", {"connection_id": "c", "call_id": "1", "reason": "busy"})
    (event,) = heard.events
    assert (event.connection_id, event.call_id, event.tenant_id) == ("c", "1", None)
    assert event.data == Ended("busy")


def test_a_class_with_such_a_field_is_told_what_the_event_says() -> None:
    payload = made({"phone_number": "1"}, WhatsAppEventData, call_id="7")
    assert payload == WhatsAppEventData(connection_id="c", call_id="7", phone_number="1")
    assert made({"connection_id": "other"}, WhatsAppEventData).connection_id == "other"


@pytest.mark.parametrize("said", [{"connection_id": "c"}, {"connection_id": None}, {"call_id": None}])
def test_a_key_that_says_nothing_new_is_let_be(said: dict[str, Any]) -> None:
    assert made(said, Ended) == Ended()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"connection_id": "other"}, "is not the event's own connection_id, and Ended has no field for another"),
        ({"call_id": ""}, "must be a text that is not empty"),
        ({"call_id": 7}, "must be a text that is not empty"),
    ],
)
def test_a_key_that_the_event_cannot_have_is_refused(said: dict[str, Any], problem: str) -> None:
    error = refused(said, Ended)
    assert (error.field, error.problem) == (next(iter(said)), problem)


# -- registering ------------------------------------------------------------------------------------------------------


@frozen
class Unresolvable:
    if TYPE_CHECKING:
        from decimal import Decimal
    price: Decimal


@frozen
class Uncheckable:
    call: Callable[[], None] | None = None


@pytest.mark.parametrize(
    ("payloads", "error", "message"),
    [
        ({"Call": Ended}, ValueError, "'Call' is no event name or pattern"),
        ({"call.ended": Gateway}, TypeError, "call.ended needs an attrs class"),
        ({"call.ended": Ended()}, TypeError, "call.ended needs an attrs class"),
        ({"call.ended": Unresolvable}, TypeError, "Unresolvable cannot be made from a mapping: name 'Decimal'"),
        ({"call.ended": Uncheckable}, TypeError, r"a Callable\[\[\], None\] cannot be found out"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_at_once(
    payloads: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Validation(payloads=payloads)


def test_what_was_given_may_change_afterwards() -> None:
    payloads: dict[str, type] = {"call.ended": Ended}
    validation = Validation(payloads=payloads)
    payloads["call.ended"] = AIEventData
    assert validation.check(Event("call.ended")).data == Ended()
