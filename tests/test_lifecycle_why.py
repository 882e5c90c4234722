"""Runs that stall, each in its own way: ``why`` and the TimeoutError of ``wait_until`` name the cause in a sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import frozen

from statemachines import ConnectionEnded, Waiting
from tests.lifecycle_helpers import DOOR, World, running

pytestmark = pytest.mark.anyio

Act = Callable[[World], Awaitable[object]]

AUDIO = "webrtc.audio_track_ready"
AI = "ai.connection_initialized"
ACCEPTED = "whatsapp.call_accepted"
ICE = "webrtc.ice_connection_changed"


def register(connection_id: str = "conn_1", **options: Any) -> Act:
    return lambda world: world.lifecycle.register_connection(connection_id, **options)


def publish(event_type: str, connection_id: str | None = "conn_1", data: Any = None, **fields: Any) -> Act:
    return lambda world: world.publish(event_type, connection_id, data, **fields)


def audio(connection_id: str = "conn_1", track_type: str = "audio", **fields: Any) -> Act:
    return publish(AUDIO, connection_id, {"track_type": track_type}, **fields)


def ice(state: str) -> Act:
    return publish(ICE, "conn_1", {"ice_state": state})


def mark(dependency: str) -> Act:
    return lambda world: world.lifecycle.mark_dependency_ready("conn_1", dependency)


def end(reason: str) -> Act:
    return lambda world: world.lifecycle.terminate_connection("conn_1", reason)


def wait(seconds: float) -> Act:
    return lambda world: world.clock.advance(seconds)


@frozen
class Stall:
    """A run that does not reach ``phase``, and the words that tell the reader why."""

    name: str
    acts: tuple[Act, ...]
    words: tuple[str, ...]
    definition: str = "whatsapp_call"
    phase: str = "ready"
    connection_id: str = "conn_1"


def stall(name: str, *acts: Act, words: tuple[str, ...], **rest: Any) -> Stall:
    return Stall(name, acts, words, **rest)


def states(text: str, head: str = "") -> str:
    """A definition with dependencies a, b and c, and this way from ``start`` to ``done``."""
    return f"""
name: custom
dependencies: {{a: a.came, b: b.came, c: {{ready_on: c.came, required: false}}}}
{head}
states:
  start: {{initial: true, transitions: [{text}]}}
  done: {{transitions: [{{event: it.ended, target: gone}}]}}
  gone: {{final: true}}
"""


def custom(name: str, transition: str, *acts: Act, words: tuple[str, ...], head: str = "") -> Stall:
    return Stall(name, (register(), *acts), words, states(transition, head), "done")


ALL_READY = (register(), audio(), publish(AI), publish(ACCEPTED))

REMEMBER = "remember: {plan: {on: plan.chosen, value: data.plan}}"

RETRY = """
name: retry
dependencies: {link: {ready_on: link.up, lost_on: link.down}}
states:
  trying:
    initial: true
    transitions: [{cond: link, target: ready}]
    states:
      attempt:
        initial: true
        after:
          1s: {cond: "visits.attempt < 3", target: attempt}
          1.5s: {cond: "visits.attempt >= 3", target: resting}
      resting:
        transitions: [{event: link.retried, cond: "visits.attempt < 3", target: attempt}]
  ready: {transitions: [{unless: link, target: trying}]}
"""

BY_HAND = """
name: by_hand
dependencies: {checked: {lost_on: check.revoked}, a: a.came}
states:
  work:
    initial: true
    states:
      start: {initial: true, transitions: [{cond: all_ready, target: ready}]}
      ready: {final: true}
"""

NOT_EARLY = """
name: hasty
early: 0s
dependencies: {a: a.came}
states:
  start: {initial: true, transitions: [{cond: all_ready, target: ready}]}
  ready: {final: true}
"""

INSIDE = """
name: nested
dependencies: {a: a.came, b: b.came}
states:
  work:
    initial: true
    transitions: [{cond: "In('second') and b", target: ready}]
    states:
      first: {initial: true, transitions: [{cond: a, target: second}]}
      second: {transitions: [{event: it.rested, target: first}]}
  ready: {final: true}
"""

ENDLESS = """
name: endless
dependencies: {a: a.came}
states:
  start: {initial: true, transitions: [{event: go.now, target: there}, {cond: all_ready, target: ready}]}
  there: {transitions: [{cond: "not a", target: back}]}
  back: {transitions: [{cond: "not a", target: there}]}
  ready: {final: true}
"""

SILENT = """
name: silent
early: 5s
retain: 0s
states:
  start:
    initial: true
    after: {5s: gone}
    transitions: [{event: go.now, target: ready}]
  ready: {transitions: [{event: it.ended, target: gone}]}
  gone: {final: true}
"""

TIMED = """
name: timed
states:
  start:
    initial: true
    after: {30s: ready}
  ready: {transitions: [{event: it.ended, target: gone}]}
  gone: {final: true}
"""

STALLS = [
    # An event that never came, for each dependency.
    stall("no audio", register(), publish(AI), publish(ACCEPTED), words=("webrtc_audio_ready", f"no {AUDIO}")),
    stall("no ai", register(), audio(), publish(ACCEPTED), words=("openai_connection_ready", f"no {AI}")),
    stall("not accepted", register(), audio(), publish(AI), words=("whatsapp_call_accepted", f"no {ACCEPTED}")),
    *(
        stall(f"no {name}", register(dependencies=[name]), words=(f"for {name}", f"no {event}"))
        for name, event in {
            "webrtc_sdp_ready": "webrtc.sdp_answer_generated",
            "ai_audio_ready": "ai.audio_track_ready",
            "ai_data_channel_ready": "ai.data_channel_ready",
            "ai_greeting": "ai.greeting_sent",
            "whatsapp_audio_ready": "whatsapp.audio_ready",
        }.items()
    ),
    stall(
        "nothing came",
        register(),
        words=("in created", "webrtc_audio_ready", "openai_connection_ready", "whatsapp_call_accepted"),
    ),
    stall(
        "two did not come",
        register(),
        publish(AI),
        words=("webrtc_audio_ready and whatsapp_call_accepted", f"no {ACCEPTED}"),
    ),
    stall(
        "marked, another is pending",
        register(dependencies=["ai_greeting", "whatsapp_call_accepted"]),
        mark("ai_greeting"),
        words=("for whatsapp_call_accepted", f"no {ACCEPTED}"),
    ),
    stall(
        "waits, its timer runs",
        register(),
        audio(),
        publish(AI),
        wait(12),
        words=("12.0 s in initializing", "whatsapp_call_accepted", "timer setup", "terminating in 18.0 s"),
    ),
    # It came, but not as it should have.
    stall(
        "video track",
        register(),
        audio(track_type="video"),
        publish(AI),
        publish(ACCEPTED),
        words=("webrtc_audio_ready", f"{AUDIO} came", "not with data.track_type == 'audio'"),
    ),
    stall(
        "track without a type",
        register(),
        publish(AUDIO),
        publish(AI),
        publish(ACCEPTED),
        words=("webrtc_audio_ready", f"{AUDIO} came", "data.track_type == 'audio'"),
    ),
    stall(
        "ice connected, but no track",
        register(dependencies=["webrtc_audio_ready"]),
        ice("connected"),
        words=("webrtc_audio_ready", f"{ICE} came", "meta.audio_track == 'audio'"),
    ),
    stall(
        "wrong tenant",
        register(tenant_id="acme", dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, tenant_id="other"),
        words=("whatsapp_call_accepted", ACCEPTED, "'other'", "refused", "'acme'"),
    ),
    stall(
        "tenant where there is none",
        register(dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, tenant_id="other"),
        words=("whatsapp_call_accepted", ACCEPTED, "'other'", "has no tenant"),
    ),
    stall(
        "wrong tenant's go-ahead",
        register(tenant_id="acme"),
        publish("go.now", tenant_id="other"),
        words=("go.now", "'other'", "refused", "'acme'"),
        definition=SILENT,
    ),
    stall(
        "typo in the id",
        register(dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, "con_1"),
        words=("whatsapp_call_accepted", ACCEPTED, "'con_1'", "not registered", "meant for this one?"),
    ),
    stall(
        "typo in the id, expired by now",
        register(dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, "conn-1"),
        wait(20),
        words=("whatsapp_call_accepted", ACCEPTED, "'conn-1'", "not registered"),
    ),
    stall(
        "quite another id",
        register(dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, "+491234"),
        words=("whatsapp_call_accepted", ACCEPTED, "'+491234'", "not registered"),
    ),
    stall(
        "wrong call id",
        register(call_id="call_456", dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, None, call_id="call_465"),
        words=("whatsapp_call_accepted", ACCEPTED, "'call_465'", "no connection has", "'call_456'"),
    ),
    stall(
        "call id never told",
        register(dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, None, call_id="call_456"),
        words=("whatsapp_call_accepted", ACCEPTED, "'call_456'", "registered without"),
    ),
    stall(
        "call id taken by another",
        register("conn_0", call_id="call_456"),
        register(dependencies=["whatsapp_call_accepted"]),
        publish("whatsapp.call_started", "conn_1", call_id="call_456"),
        words=("whatsapp_call_accepted", "'call_456'", "'conn_0' holds"),
    ),
    stall(
        "no id at all",
        register(dependencies=["whatsapp_call_accepted"]),
        publish(ACCEPTED, None),
        words=("whatsapp_call_accepted", ACCEPTED, "without a connection_id or call_id"),
    ),
    stall(
        "too early and expired",
        publish(ACCEPTED),
        wait(5),
        register(dependencies=["whatsapp_call_accepted"]),
        words=("whatsapp_call_accepted", ACCEPTED, "before the registration", "only 5 s (early)", "send it again"),
    ),
    stall(
        "too early by call id and expired",
        publish(ACCEPTED, None, call_id="call_1"),
        wait(6),
        register(call_id="call_1", dependencies=["whatsapp_call_accepted"]),
        words=("whatsapp_call_accepted", ACCEPTED, "before the registration", "only 5 s"),
    ),
    stall(
        "early events are not kept",
        publish("a.came"),
        register(),
        words=("for a:", "a.came came before the registration", "only 0 s (early)"),
        definition=NOT_EARLY,
    ),
    # Gone again.
    stall(
        "lost again",
        *ALL_READY,
        ice("disconnected"),
        words=("webrtc_audio_ready", f"lost on {ICE}", "needs", AUDIO),
    ),
    stall(
        "failed",
        register(),
        publish("a.came"),
        publish("b.broke"),
        words=("for b:", "failed on b.broke", "needs b.came again"),
        definition=DOOR,
        phase="open",
    ),
    stall(
        "failed with an error",
        register(),
        publish("a.came"),
        publish("b.broke", error="401 invalid\nkey"),
        words=("for b:", "failed on b.broke", "401 invalid?key"),
        definition=DOOR,
        phase="open",
    ),
    stall(
        "lost after it was there",
        register(),
        publish("b.came"),
        publish("b.went"),
        publish("a.came"),
        words=("for b:", "lost on b.went", "needs b.came"),
        definition=DOOR,
        phase="open",
    ),
    stall(
        "failed and therefore ending",
        register(),
        publish("ai.connection_failed", error="quota"),
        words=("in terminating", "openai_connection_ready", "failed on ai.connection_failed (quota)", "terminated in"),
    ),
    # Ended.
    stall(
        "ended by its failure",
        register(),
        publish("ai.connection_failed"),
        wait(2),
        words=("ended in terminated", "ai.connection_failed led to terminating", "openai_connection_ready"),
    ),
    stall(
        "ended by its timeout",
        register(),
        audio(),
        publish(AI),
        wait(32),
        words=("ended", "timer setup of initializing led to terminating", "lacked whatsapp_call_accepted"),
    ),
    stall(
        "hung up",
        register(),
        publish("whatsapp.call_terminated"),
        publish("whatsapp.call_closed"),
        words=("ended", "whatsapp.call_terminated led to terminating", "whatsapp.call_closed led to terminated"),
    ),
    stall(
        "terminated by hand",
        register(),
        end("enough"),
        words=("ended", "terminate_connection led to terminated", "lacked webrtc_audio_ready"),
    ),
    stall(
        "retries used up and ended",
        *ALL_READY,
        ice("failed"),
        wait(5),
        wait(5),
        wait(5),
        wait(10),
        words=("ended", "10s of restarting_ice led to terminating", "lacked webrtc_audio_ready"),
    ),
    # Never there.
    stall("never registered", words=("conn_1 is not registered with whatsapp_call", "register_connection")),
    stall(
        "registered by another name",
        register("conn-1"),
        words=("conn_1 is not registered", "did you mean 'conn-1'?"),
    ),
    stall(
        "not registered, events wait",
        publish(ACCEPTED),
        words=("conn_1 is not registered", f"{ACCEPTED} came for it, kept 5 s", "register_connection"),
    ),
    stall(
        "not registered, events expired",
        publish(ACCEPTED),
        wait(9),
        words=("conn_1 is not registered", f"{ACCEPTED} came for it and went unheard"),
    ),
    stall(
        "ended and forgotten",
        register(),
        end("enough"),
        wait(6),
        words=("conn_1 is not registered", "ended in terminated", "forgotten 5 s later"),
    ),
    # A guard of one's own.
    custom(
        "a and b: b is missing",
        "{cond: a and b, target: done}",
        publish("a.came"),
        words=("for b:", "no b.came", "the way to done is closed", "`b` is not true"),
    ),
    custom(
        "an optional one is missing",
        "{cond: all_ready and c, target: done}",
        publish("a.came"),
        publish("b.came"),
        words=("the way to done is closed", "`c` is not true", "c is pending until c.came"),
    ),
    custom(
        "unless it is there",
        "{unless: c, cond: all_ready, target: done}",
        publish("c.came"),
        publish("a.came"),
        publish("b.came"),
        words=("the way to done is closed", "`c` is true", "c is ready"),
    ),
    custom(
        "not c",
        "{cond: all_ready and not c, target: done}",
        publish("c.came"),
        publish("a.came"),
        publish("b.came"),
        words=("the way to done is closed", "`c` is true"),
    ),
    custom(
        "two of three",
        "{cond: a + b + c >= 2, target: done}",
        publish("a.came"),
        words=("`a + b + c >= 2` is not true", "b is pending until b.came", "c is pending until c.came"),
    ),
    custom(
        "any one",
        "{cond: a or c, target: done}",
        publish("b.came"),
        words=("`a or c` is not true", "c is pending until c.came"),
    ),
    custom(
        "not yet remembered",
        "{cond: meta.plan == 'gold' and all_ready, target: done}",
        publish("a.came"),
        publish("b.came"),
        words=("`meta.plan == 'gold'` is not true", "not known yet", "told by plan.chosen"),
        head=REMEMBER,
    ),
    custom(
        "remembered otherwise",
        "{cond: meta.plan == 'gold', target: done}",
        publish("a.came"),
        publish("b.came"),
        publish("plan.chosen", "conn_1", {"plan": "silver"}),
        words=("meta.plan == 'gold'", "another value", "plan.chosen"),
        head=REMEMBER,
    ),
    custom(
        "an event came, its guard was false",
        "{event: go.now, cond: c, target: done}",
        publish("a.came"),
        publish("b.came"),
        publish("go.now"),
        words=("go.now came and changed nothing", "`c` is not true", "c.came"),
    ),
    custom(
        "an event came with the wrong payload",
        "{event: go.now, cond: data.sure, target: done}",
        publish("a.came"),
        publish("b.came"),
        publish("go.now", "conn_1", {"sure": False}),
        words=("go.now came and changed nothing", "`data.sure` is not true"),
    ),
    custom(
        "an event never came",
        "{event: go.now, target: done}",
        publish("a.came"),
        publish("b.came"),
        words=("start for an event that leads on: go.now",),
    ),
    custom(
        "an event went astray",
        "{event: go.now, target: done}",
        publish("a.came"),
        publish("b.came"),
        publish("go.now", "conn_2"),
        words=("go.now came for 'conn_2', which is not registered", "meant for this one?"),
    ),
    stall(
        "retries used up",
        register(),
        wait(2),
        wait(3),
        words=("in resting", "link", "no link.up", "visits.attempt is 3"),
        definition=RETRY,
    ),
    stall(
        "only by hand",
        register(),
        publish("a.came"),
        words=("checked", "no event makes ready", "mark_dependency_ready(…, 'checked')"),
        definition=BY_HAND,
    ),
    stall(
        "not inside a state",
        register(),
        publish("b.came"),
        words=("the way to ready is closed: `In('second')` is not true", "for a:", "no a.came"),
        definition=INSIDE,
    ),
    stall(
        "a step that never settles",
        register(),
        publish("go.now"),
        words=("go.now could not be applied", "never settle", "for a:"),
        definition=ENDLESS,
    ),
    stall(
        "only time",
        register(),
        wait(10),
        words=("only its timers", "timer 30s of start leads to ready in 20.0 s"),
        definition=TIMED,
    ),
    stall(
        "ended and forgotten at once",
        register(),
        wait(5),
        words=("conn_1 is not registered with silent", "ended in gone"),
        definition=SILENT,
    ),
    stall(
        "nothing leads on",
        register(),
        publish("a.came"),
        mark("checked"),
        words=("in ready", "nothing leads on from there"),
        definition=BY_HAND,
        phase="start",
    ),
]


def test_there_are_at_least_fifty() -> None:
    assert len(STALLS) >= 50
    assert len({case.name for case in STALLS}) == len(STALLS)


@pytest.mark.parametrize("case", STALLS, ids=lambda case: case.name)
async def test_why_names_the_cause(case: Stall) -> None:
    async with running(case.definition) as world:
        for act in case.acts:
            await act(world)
        waiting = world.lifecycle.why(case.connection_id)
        with pytest.raises((TimeoutError, ConnectionEnded)) as raised:
            await world.lifecycle.wait_until(case.connection_id, case.phase, timeout=0.0001)
        assert isinstance(waiting, Waiting)
        for text in (str(waiting), str(raised.value)):
            assert "\n" not in text
            assert len(text) <= 600 + 60  # the error also says which phase, and how long it waited
            assert text.isprintable()
            assert case.phase in str(raised.value)
            missing = [word for word in case.words if word not in text]
            assert not missing, f"{missing} not in: {text}"
        assert len(str(waiting)) <= 600


async def test_why_of_one_never_registered_has_no_phase() -> None:
    async with running() as world:
        waiting = world.lifecycle.why("nobody")
        assert (waiting.phase, waiting.since, waiting.dependencies, waiting.timers) == (None, None, (), ())


async def test_why_tells_what_a_program_may_ask() -> None:
    async with running("whatsapp_call") as world:
        await world.clock.advance(100)
        await register()(world)
        await publish(AI)(world)
        await world.clock.advance(10)
        waiting = world.lifecycle.why("conn_1")
        assert (waiting.phase, waiting.since, waiting.waited_s) == ("initializing", 100, 10)
        assert [pending.name for pending in waiting.dependencies] == ["webrtc_audio_ready", "whatsapp_call_accepted"]
        assert [trigger.event for trigger in waiting.dependencies[1].ready_on] == [ACCEPTED]
        assert [(t.name, t.state, t.remaining_s, t.target) for t in waiting.timers] == [
            ("setup", "initializing", 20, "terminating")
        ]


async def test_why_gives_each_guard_with_the_part_that_is_false() -> None:
    async with running(states("{cond: a and (b or c), target: done}")) as world:
        await register()(world)
        await publish("a.came")(world)
        (held,) = world.lifecycle.why("conn_1").guards
        assert (held.source, held.target, held.guard) == ("start", "done", "a and (b or c)")
        assert held.because.startswith("`b or c` is not true")


async def test_ids_from_outside_cannot_break_the_sentence() -> None:
    async with running("whatsapp_call") as world:
        odd = "x\n" + "y" * 5_000
        await world.lifecycle.register_connection(odd, tenant_id="t\r" * 100)
        await publish(ACCEPTED, odd, tenant_id="\x1b[31m" * 300)(world)
        await publish(ACCEPTED, "z\n" * 500)(world)
        text = str(world.lifecycle.why(odd))
        assert text.isprintable()
        assert len(text) <= 600
        assert ACCEPTED in text


async def test_asking_why_counts_nothing_and_changes_nothing() -> None:
    async with running(states("{cond: meta.plan < 3, target: done}", REMEMBER)) as world:
        await register()(world)
        before = world.lifecycle.stats()
        str(world.lifecycle.why("conn_1"))
        assert world.lifecycle.stats() == before


async def test_a_wrong_payload_is_not_repeated_in_the_sentence() -> None:
    async with running("whatsapp_call") as world:
        await register()(world)
        await publish(AUDIO, "conn_1", {"track_type": "+4915112345"})(world)
        assert "+4915112345" not in str(world.lifecycle.why("conn_1"))
