"""The universal suite notices: each breakage here breaks the transport in one way, and the claims named by it fail."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trio.testing
from anyio.lowlevel import checkpoint
from attrs import evolve

from bus import Event, event_to_dict
from bus.transports.interface import Delivery, Features, Transport, TransportClosed
from bus.transports.mailbox import Mailbox, MemoryDelivery, Receiver
from bus.transports.memory import MemoryTransport, Sender
from bus.transports.suite import TransportSuite

Breakage = Callable[[pytest.MonkeyPatch], None]
BREAKAGES: list[tuple[Breakage, tuple[str, ...]]] = []
CLAIMS = {name for name in vars(TransportSuite) if name.startswith("test_")}


class Suite(TransportSuite):
    def make_transport(self) -> Transport:
        return MemoryTransport(capacity=100)


def fails(claim: str) -> bool:
    """Whether the claim fails. Time passes by itself once everybody waits, so waiting in vain costs nothing."""

    async def run() -> None:
        await getattr(Suite(), claim)()

    try:
        clock = trio.testing.MockClock(autojump_threshold=0)
        anyio.run(run, backend="trio", backend_options={"clock": clock})
    except (Exception, BaseExceptionGroup, pytest.fail.Exception):
        return True
    return False


def noticed_by(*claims: str) -> Callable[[Breakage], Breakage]:
    def add(breakage: Breakage) -> Breakage:
        BREAKAGES.append((breakage, tuple(f"test_{claim}" for claim in claims)))
        return breakage

    return add


def every(number: int) -> Callable[[], bool]:
    """True once in so many calls."""
    calls = 0

    def now() -> bool:
        nonlocal calls
        calls += 1
        return calls % number == 0

    return now


put = Mailbox.put

# -- losing and doubling ----------------------------------------------------------------------------------------------


@noticed_by("every_receiver_gets_everything", "a_group_shares_the_load_and_doubles_nothing")
def it_loses_one_in_a_hundred(patch: pytest.MonkeyPatch) -> None:
    now = every(100)
    patch.setattr(Mailbox, "put", lambda self, event: None if now() else put(self, event))


@noticed_by("every_receiver_gets_everything", "a_group_shares_the_load_and_doubles_nothing")
def it_doubles_one_in_a_hundred(patch: pytest.MonkeyPatch) -> None:
    now = every(100)

    def doubled(self: Mailbox, event: Event) -> None:
        put(self, event)
        if now():
            put(self, event)

    patch.setattr(Mailbox, "put", doubled)


@noticed_by("of_ten_thousand_events_none_is_lost_or_doubled")
def it_loses_the_last_of_ten_thousand(patch: pytest.MonkeyPatch) -> None:
    now = every(10_000)
    patch.setattr(Mailbox, "put", lambda self, event: None if now() else put(self, event))


@noticed_by("a_receiver_gets_what_is_sent_once_it_is_there")
def it_gives_late_receivers_what_was_sent_before(patch: pytest.MonkeyPatch) -> None:
    old: list[Event] = []
    send, init = MemoryTransport.send, Receiver.__init__

    async def send_and_keep(self: MemoryTransport, event: Event) -> None:
        await send(self, event)
        old.append(event)

    def begin_with_old(self: Receiver, mailbox: Mailbox, max_in_flight: int) -> None:
        init(self, mailbox, max_in_flight)
        for event in old[:5]:
            mailbox.put(event)

    patch.setattr(MemoryTransport, "send", send_and_keep)
    patch.setattr(Receiver, "__init__", begin_with_old)


@noticed_by("a_wait_that_is_cancelled_has_taken_nothing")
def it_loses_what_a_cancelled_wait_has_taken(patch: pytest.MonkeyPatch) -> None:
    following = Receiver.__anext__

    async def wait_once_more(self: Receiver) -> Delivery:
        delivery = await following(self)
        await checkpoint()
        return delivery

    patch.setattr(Receiver, "__anext__", wait_once_more)


@noticed_by("a_slow_receiver_does_not_delay_another")
def a_receiver_delays_the_others(patch: pytest.MonkeyPatch) -> None:
    out: set[Mailbox] = set()
    take, acknowledge, following = Mailbox.take, Mailbox.acknowledge, Receiver.__anext__

    def take_alone(self: Mailbox) -> MemoryDelivery:
        out.add(self)
        return take(self)

    async def wait_for_turn(self: Receiver) -> Delivery:
        while out - {self._mailbox}:
            await anyio.sleep(1)
        return await following(self)

    def end_turn(self: Mailbox, delivery: MemoryDelivery) -> None:
        out.discard(self)
        acknowledge(self, delivery)

    patch.setattr(Mailbox, "take", take_alone)
    patch.setattr(Mailbox, "acknowledge", end_turn)
    patch.setattr(Receiver, "__anext__", wait_for_turn)


# -- patterns and payloads --------------------------------------------------------------------------------------------


def wants(meant: Callable[[str, str], bool]) -> Callable[[Mailbox, Event], bool]:
    return lambda self, event: any(meant(pattern, event.type) for pattern in self.patterns)


@noticed_by("a_pattern_means_what_it_means_on_a_bus")
def it_ignores_patterns(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mailbox, "wants", wants(lambda pattern, name: True))


@noticed_by("a_pattern_means_what_it_means_on_a_bus")
def it_takes_a_prefix_for_a_token(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mailbox, "wants", wants(lambda pattern, name: name.startswith(pattern.rstrip("*").rstrip("."))))


@noticed_by("a_pattern_means_what_it_means_on_a_bus")
def it_takes_a_star_for_one_token(patch: pytest.MonkeyPatch) -> None:
    def meant(pattern: str, name: str) -> bool:
        return pattern in ("*", name, name.rpartition(".")[0] + ".*")

    patch.setattr(Mailbox, "wants", wants(meant))


@noticed_by("a_pattern_means_what_it_means_on_a_bus")
def it_takes_the_first_pattern_only(patch: pytest.MonkeyPatch) -> None:
    init = Mailbox.__init__
    patch.setattr(Mailbox, "__init__", lambda self, patterns, *rest: init(self, patterns[:1], *rest))


@noticed_by("an_event_that_matches_twice_comes_once")
def it_delivers_once_for_each_pattern(patch: pytest.MonkeyPatch) -> None:
    def put_for_each(self: Mailbox, event: Event) -> None:
        for _ in self.patterns:
            put(self, event)

    patch.setattr(Mailbox, "put", put_for_each)


def without_none(event: Event) -> Event:
    if not isinstance(event.data, dict):
        return event
    return evolve(event, data={name: value for name, value in event.data.items() if value is not None})


ALTERATIONS: dict[str, Callable[[Event], Event]] = {
    "payload classes": lambda event: evolve(event, data=event_to_dict(event)["data"]),
    "fields that are None": without_none,
    "ids": lambda event: evolve(event, id="another"),
    "times": lambda event: evolve(event, timestamp=round(event.timestamp)),
    "causes": lambda event: evolve(event, causation_id=None),
    "depths": lambda event: evolve(event, causation_depth=0),
    "tenants": lambda event: evolve(event, tenant_id=None),
    "calls": lambda event: evolve(event, call_id=None),
    "errors": lambda event: evolve(event, error=None),
    "what is not ASCII": lambda event: evolve(event, data=eval(ascii(event.data).encode().decode("ascii", "ignore"))),
}

# -- order ------------------------------------------------------------------------------------------------------------


@noticed_by("a_connection_keeps_its_order", "events_of_no_connection_keep_the_order_of_their_call")
def it_swaps_the_last_two(patch: pytest.MonkeyPatch) -> None:
    def swapped(self: Mailbox, event: Event) -> None:
        put(self, event)
        line = self._lines[MemoryDelivery(event, 1).whose]
        if len(line) > 2:
            line[-1], line[-2] = line[-2], line[-1]

    patch.setattr(Mailbox, "put", swapped)


@noticed_by("fifty_senders_on_twenty_connections_keep_one_order_for_all_receivers")
def receivers_see_senders_in_different_orders(patch: pytest.MonkeyPatch) -> None:
    """Each sender's own order is kept."""
    order: dict[Mailbox, int] = {}

    def swapped(self: Mailbox, event: Event) -> None:
        put(self, event)
        line = self._lines[MemoryDelivery(event, 1).whose]
        if order.setdefault(self, len(order)) == 1 and len(line) > 2:
            (one, _), (other, _) = line[-1].event.field("n"), line[-2].event.field("n")
            if one != other:
                line[-1], line[-2] = line[-2], line[-1]

    patch.setattr(Mailbox, "put", swapped)


@noticed_by("events_of_no_connection_keep_the_order_of_their_call")
def it_keeps_no_order_without_a_connection(patch: pytest.MonkeyPatch) -> None:
    init, take = MemoryDelivery.__init__, Mailbox.take

    def own_line(self: MemoryDelivery, event: Event, attempt: int) -> None:
        init(self, event, attempt)
        if event.connection_id is None:
            self.whose = event.id

    def take_last(self: Mailbox) -> MemoryDelivery:
        self.ready.reverse()
        return take(self)

    patch.setattr(MemoryDelivery, "__init__", own_line)
    patch.setattr(Mailbox, "take", take_last)


# -- acknowledging ----------------------------------------------------------------------------------------------------


@noticed_by("a_refused_event_comes_again_and_counts_its_attempts")
def it_forgets_what_is_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mailbox, "refuse", Mailbox.acknowledge)


@noticed_by("a_refused_event_is_not_overtaken_by_its_connection")
def it_puts_what_is_refused_at_the_end(patch: pytest.MonkeyPatch) -> None:
    refuse = Mailbox.refuse

    def to_the_end(self: Mailbox, delivery: MemoryDelivery) -> None:
        refuse(self, delivery)
        self._lines[delivery.whose].rotate(-1)

    patch.setattr(Mailbox, "refuse", to_the_end)


@noticed_by("an_event_refused_again_and_again_holds_up_its_connection_only")
def it_delivers_what_is_refused_before_all_else(patch: pytest.MonkeyPatch) -> None:
    refuse = Mailbox.refuse

    def to_the_front(self: Mailbox, delivery: MemoryDelivery) -> None:
        refuse(self, delivery)
        self.ready.rotate(1)

    patch.setattr(Mailbox, "refuse", to_the_front)


@noticed_by("a_refused_event_comes_again_and_counts_its_attempts")
def it_does_not_count_attempts(patch: pytest.MonkeyPatch) -> None:
    init = MemoryDelivery.__init__
    patch.setattr(MemoryDelivery, "__init__", lambda self, event, attempt: init(self, event, 1))


@noticed_by(
    "the_next_of_a_connection_comes_after_the_one_before_is_acknowledged",
    "a_refused_event_is_not_overtaken_by_its_connection",
)
def it_delivers_the_next_before_the_last_is_acknowledged(patch: pytest.MonkeyPatch) -> None:
    init = MemoryDelivery.__init__

    def alone(self: MemoryDelivery, event: Event, attempt: int) -> None:
        init(self, event, attempt)
        self.whose = event.id

    patch.setattr(MemoryDelivery, "__init__", alone)


@noticed_by("no_more_are_out_than_the_receiver_allows")
def it_has_any_number_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Receiver, "_may_have_more", True)


@noticed_by("a_receiver_that_waits_at_its_limit_goes_on_when_one_is_acknowledged")
def it_forgets_a_receiver_at_its_limit(patch: pytest.MonkeyPatch) -> None:
    settle = Receiver.settle

    def forget(self: Receiver, delivery: MemoryDelivery, *, acknowledged: bool) -> None:
        self._waits = False
        settle(self, delivery, acknowledged=acknowledged)

    patch.setattr(Receiver, "settle", forget)


@noticed_by("acknowledging_while_the_next_is_on_its_way_loses_nothing")
def it_gives_a_receiver_two_at_once(patch: pytest.MonkeyPatch) -> None:
    def ask(self: Receiver) -> None:
        if self._may_have_more and not self._left:
            self._mailbox.asking[self] = None

    patch.setattr(Receiver, "_ask", ask)


@noticed_by("only_the_first_word_on_a_delivery_counts")
def it_believes_every_word(patch: pytest.MonkeyPatch) -> None:
    settle = Receiver.settle

    def again(self: Receiver, delivery: MemoryDelivery, *, acknowledged: bool) -> None:
        if delivery.whose in self._mailbox._lines:
            self._out.add(delivery)
        settle(self, delivery, acknowledged=acknowledged)

    patch.setattr(Receiver, "settle", again)


@noticed_by("acknowledging_too_late_raises_nothing")
def acknowledging_too_late_raises(patch: pytest.MonkeyPatch) -> None:
    settle = Receiver.settle

    def strict(self: Receiver, delivery: MemoryDelivery, *, acknowledged: bool) -> None:
        if self._left and delivery not in self._out:
            raise TransportClosed("too late")
        settle(self, delivery, acknowledged=acknowledged)

    patch.setattr(Receiver, "settle", strict)


# -- groups -----------------------------------------------------------------------------------------------------------


@noticed_by("a_group_shares_the_load_and_doubles_nothing")
def everyone_in_a_group_gets_everything(patch: pytest.MonkeyPatch) -> None:
    find = MemoryTransport._mailbox
    patch.setattr(MemoryTransport, "_mailbox", lambda self, patterns, group: find(self, patterns, None))


@noticed_by("each_of_two_groups_gets_everything")
def there_is_one_group(patch: pytest.MonkeyPatch) -> None:
    def find(self: MemoryTransport, patterns: tuple[str, ...], group: str | None) -> Mailbox:
        name = "all" if group else group
        try:
            return found(self, patterns, name)
        except ValueError:
            return self._groups["all"]

    found = MemoryTransport._mailbox
    patch.setattr(MemoryTransport, "_mailbox", find)


@noticed_by("a_group_shares_the_load_and_doubles_nothing")
def one_of_a_group_gets_all(patch: pytest.MonkeyPatch) -> None:
    following = Receiver.__anext__

    async def only_the_first(self: Receiver) -> Delivery:
        if self is not min(self._mailbox.receivers, key=id):
            await anyio.sleep_forever()
        return await following(self)

    patch.setattr(Receiver, "__anext__", only_the_first)


@noticed_by("what_a_dead_receiver_had_goes_to_another_of_its_group")
def a_dead_receiver_keeps_what_it_had(patch: pytest.MonkeyPatch) -> None:
    leave = Receiver.leave

    def keep(self: Receiver) -> None:
        self._out.clear()
        leave(self)

    patch.setattr(Receiver, "leave", keep)


@noticed_by(
    "what_a_dead_receiver_had_goes_to_another_of_its_group",
    "a_group_finds_what_it_has_not_acknowledged",
)
def a_dead_receiver_takes_what_it_had_along(patch: pytest.MonkeyPatch) -> None:
    leave = Receiver.leave

    def take_along(self: Receiver) -> None:
        for delivery in list(self._out):
            self.settle(delivery, acknowledged=True)
        leave(self)

    patch.setattr(Receiver, "leave", take_along)


@noticed_by("what_a_dead_receiver_had_goes_to_another_of_its_group")
def a_dead_receiver_gives_back_what_it_acknowledged(patch: pytest.MonkeyPatch) -> None:
    leave, acknowledge = Receiver.leave, Mailbox.acknowledge
    done: list[Event] = []

    def remember(self: Mailbox, delivery: MemoryDelivery) -> None:
        acknowledge(self, delivery)
        done.append(delivery.event)

    def give_back(self: Receiver) -> None:
        leave(self)
        for event in done:
            self._mailbox.put(event)

    patch.setattr(Mailbox, "acknowledge", remember)
    patch.setattr(Receiver, "leave", give_back)


@noticed_by("a_group_finds_what_was_sent_while_it_was_away")
def a_group_without_receivers_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    receive = MemoryTransport.receive

    @asynccontextmanager
    async def receive_and_forget(
        self: MemoryTransport, *patterns: str, group: str | None = None, max_in_flight: int = 64
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        async with receive(self, *patterns, group=group, max_in_flight=max_in_flight) as receiver:
            yield receiver
        self._groups.clear()
        self._mailboxes.clear()

    patch.setattr(MemoryTransport, "receive", receive_and_forget)


# -- back-pressure ----------------------------------------------------------------------------------------------------


@noticed_by("a_sender_waits_while_a_receiver_has_too_much")
def nobody_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mailbox, "full", False)


@noticed_by(
    "a_sender_that_waits_has_not_sent_to_those_with_room_either", "a_sender_cancelled_while_it_waits_has_sent_to_nobody"
)
def it_sends_to_those_with_room_first(patch: pytest.MonkeyPatch) -> None:
    half_sent: dict[str, set[Mailbox]] = {}

    def half(self: MemoryTransport, event: Event) -> Mailbox | None:
        done = half_sent.setdefault(event.id, set())
        full = None
        for mailbox in self._mailboxes:
            if mailbox.wants(event) and mailbox not in done:
                if mailbox.full:
                    full = mailbox
                else:
                    mailbox.put(event)
                    done.add(mailbox)
        return full

    patch.setattr(MemoryTransport, "_put", half)


def stay_in_line(self: Sender, line: OrderedDict[Sender, None]) -> None:
    line[self] = None
    self.line = OrderedDict()


@noticed_by("a_sender_cancelled_while_it_waits_has_sent_to_nobody")
def what_a_cancelled_sender_had_is_sent_later(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sender, "stand_in", stay_in_line)


@noticed_by("a_cancelled_sender_holds_up_none_behind_it")
def a_cancelled_sender_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    def let_in(self: MemoryTransport, mailbox: Mailbox) -> None:
        senders = self._mailboxes.get(mailbox)
        if senders and next(iter(senders)).decided.statistics().tasks_waiting:
            sender, _ = senders.popitem(last=False)
            self._put_or_wait(sender)

    patch.setattr(Sender, "stand_in", stay_in_line)
    patch.setattr(MemoryTransport, "_let_in", let_in)


@noticed_by("waiting_for_one_receiver_holds_up_none_that_is_for_others")
def senders_wait_for_every_receiver(patch: pytest.MonkeyPatch) -> None:
    put_in = MemoryTransport._put

    def strict(self: MemoryTransport, event: Event) -> Mailbox | None:
        return next((mailbox for mailbox in self._mailboxes if mailbox.full), None) or put_in(self, event)

    patch.setattr(MemoryTransport, "_put", strict)


@noticed_by("a_receiver_that_leaves_lets_its_senders_go_on")
def senders_wait_for_receivers_that_left(patch: pytest.MonkeyPatch) -> None:
    receive = MemoryTransport.receive

    @asynccontextmanager
    async def leave_behind(self: MemoryTransport, *patterns: str) -> AsyncIterator[AsyncIterator[Delivery]]:
        async with receive(self, *patterns) as receiver:
            try:
                yield receiver
            finally:
                self._mailboxes = {}

    patch.setattr(MemoryTransport, "receive", leave_behind)


# -- closing ----------------------------------------------------------------------------------------------------------


@noticed_by("a_transport_that_is_not_open_says_so")
def it_is_always_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryTransport, "_refuse_closed", lambda self: None)


@noticed_by("closing_tells_those_that_receive")
def closing_does_not_tell_receivers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mailbox, "close", lambda self: None)


@noticed_by("closing_tells_those_that_receive")
def closing_ends_receiving_without_a_word(patch: pytest.MonkeyPatch) -> None:
    def end(self: Mailbox) -> None:
        for receiver in self.receivers:
            receiver._left = True
            receiver.wake()

    patch.setattr(Mailbox, "close", end)


@noticed_by("closing_tells_those_that_wait_to_send")
def closing_lets_senders_believe_they_have_sent(patch: pytest.MonkeyPatch) -> None:
    init = Sender.__init__

    def accepted(self: Sender, event: Event, line: OrderedDict[Sender, None]) -> None:
        init(self, event, line)
        self.accepted = True

    patch.setattr(Sender, "__init__", accepted)


@noticed_by("closing_tells_those_that_wait_to_send")
def closing_leaves_senders_waiting(patch: pytest.MonkeyPatch) -> None:
    async def leave(self: MemoryTransport, *_: object) -> None:
        self._open = False
        for mailbox in self._mailboxes:
            mailbox.close()

    patch.setattr(MemoryTransport, "__aexit__", leave)


PAIRS = [(breakage, claim) for breakage, claims in BREAKAGES for claim in claims]


@pytest.mark.parametrize(("breakage", "claim"), PAIRS, ids=lambda value: getattr(value, "__name__", "") or value[5:])
def test_a_broken_transport_is_noticed(breakage: Breakage, claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breakage(monkeypatch)
    assert fails(claim)


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_event_is_noticed(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alter = ALTERATIONS[what]
    monkeypatch.setattr(Mailbox, "put", lambda self, event: put(self, alter(event)))
    assert fails("test_an_event_arrives_as_it_was_sent")


def test_every_claim_can_fail() -> None:
    noticed = {claim for _, claims in BREAKAGES for claim in claims} | {"test_an_event_arrives_as_it_was_sent"}
    assert noticed == CLAIMS


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_no_claim_fails_on_what_is_not_broken(claim: str) -> None:
    assert not fails(claim)


@pytest.mark.parametrize("feature", ["ordered", "groups", "redelivers", "keeps"])
def test_what_is_not_promised_is_skipped_and_said(feature: str) -> None:
    promised = {name: name != feature for name in ("ordered", "groups", "redelivers", "keeps")}

    class Modest(TransportSuite):
        def make_transport(self) -> Transport:
            transport = MemoryTransport(capacity=10_000)
            transport.features = Features(**promised, capacity=None)
            return transport

    skipped = []
    for claim in sorted(CLAIMS):
        try:
            anyio.run(getattr(Modest(), claim))
        except pytest.skip.Exception as reason:
            skipped.append(str(reason))
    assert set(skipped) == {f"MemoryTransport does not promise {name!r}" for name in (feature, "capacity")}
    assert len(skipped) < len(CLAIMS)


def test_the_suite_asks_for_a_transport() -> None:
    with pytest.raises(NotImplementedError):
        TransportSuite().make_transport()
