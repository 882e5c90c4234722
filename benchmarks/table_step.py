"""A step of a connection: by the table that python-statemachine filled, and by python-statemachine itself.

Both walk the same circle through the same chart and must be in the same configuration after each event. The library's
machine is built as its users build one: the definition's states and transitions, guards that are mere attributes of the
model, and no callbacks. phasebus works its guards out from the event; the library's are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from attrs import frozen
from statemachine.io import create_machine_class_from_definition

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventType, matches
from statemachines import Definition, load_definition, parse_definition
from statemachines.language.definition import State, Transition
from statemachines.table.record import Identity, Record
from statemachines.table.step import CREATED, Steps

LEVELS, WIDTH = 4, 4


@frozen
class Walk:
    """Events that lead a connection round in a circle, after those that lead it there, with the guards' answers."""

    name: str
    definition: Definition
    way_there: tuple[tuple[Event, Mapping[str, bool]], ...]
    circle: tuple[tuple[Event, Mapping[str, bool]], ...]


def whatsapp_call() -> Walk:
    """A call that loses and regains its audio, with an event that nobody handles after each."""

    def event(event_type: str, **data: str) -> Event:
        return Event(event_type, "conn", data)

    here, away = {"all_ready": True, "any_failed": False}, {"all_ready": False, "any_failed": False}
    return Walk(
        "whatsapp_call",
        load_definition("whatsapp_call"),
        (
            (event("webrtc.audio_track_ready", track_type="audio"), away),
            (event("ai.connection_initialized"), away),
            (event("whatsapp.call_accepted", call_id="call"), here),
        ),
        (
            (event("webrtc.ice_connection_changed", ice_state="disconnected"), away),
            (event("ai.greeting_sent"), away),
            (event("webrtc.ice_connection_changed", ice_state="connected"), here),
            (event("ai.greeting_sent"), here),
        ),
    )


def tree() -> Walk:
    """A generated definition: states nested four deep, four to a level, walked leaf by leaf."""
    leaves: list[str] = []

    def level(prefix: str, depth: int, indent: str) -> list[str]:
        lines = []
        for number in range(WIDTH):
            name = f"{prefix}{number}"
            lines += [f"{indent}{name}:", *([f"{indent}  initial: true"] if number == 0 else [])]
            if depth > 1:
                lines += [f"{indent}  states:", *level(name, depth - 1, indent + "    ")]
            else:
                leaves.append(name)
                lines.append(f"{indent}  transitions: [{{event: walk.went_on, cond: open, target: NEXT_{name}}}]")
        return lines

    text = "\n".join(["name: tree", "dependencies: {open: door.opened}", "states:", *level("s", LEVELS, "  ")])
    for leaf, following in zip(leaves, [*leaves[1:], leaves[0]], strict=True):
        text = text.replace(f"NEXT_{leaf}}}", f"{following}}}")
    answers = {"open": True}
    return Walk(
        f"{WIDTH**LEVELS} leaves, {LEVELS} deep",
        parse_definition(text),
        ((Event("door.opened", "conn"), answers),),
        tuple((Event("walk.went_on", "conn"), answers) for _ in leaves),
    )


def reports(scale: Scale) -> list[Report]:
    """Both ways of asking the table, on both definitions."""
    found = []
    for walk in (whatsapp_call(), tree()):
        check(walk)
        peers = (Side("python-statemachine send", _sends(walk, scale(2_000, 60))),)
        for name, meaning, turn in (
            ("StepTable.step", "one warm look-up: the guards are asked, the outcome is there", _lookups),
            ("Steps.event", "one whole warm step: facts, guards, outcome, timers, the new record", _steps),
        ):
            ours = Side(name, turn(walk, scale(20_000, 120)))
            comparison = Comparison(f"table_step: {name}, {walk.name}", meaning, "seconds", ours, peers)
            found.append(measure(comparison, scale(9, 2)))
    return found


def check(walk: Walk) -> None:
    """Assert that both sides are in the same configuration after each event."""
    steps, record = start(walk)
    machine, model = plain_machines(walk.definition)()
    for event, answers in (*walk.way_there, *walk.circle):
        record = steps.event(record, event, at=0.0, now=0.0).after
        answer(model, answers)
        machine.send(token(event.type))
        assert set(machine.configuration_values) == set(record.situation.configuration)


def start(walk: Walk) -> tuple[Steps, Record]:
    """A connection that was just registered."""
    steps = Steps(walk.definition)
    identity = Identity("conn", None, None, None, {}, 0.0)
    created = Event(CREATED, "conn")
    return steps, steps.register(identity, steps.layout.required_by_default, created, at=0.0, now=0.0).after


def _warm(walk: Walk) -> tuple[Steps, Record]:
    """A connection that has gone round once, so that every case of the circle is in the table."""
    steps, record = start(walk)
    for event, _ in (*walk.way_there, *walk.circle):
        record = steps.event(record, event, at=0.0, now=0.0).after
    return steps, record


def _steps(walk: Walk, number: int) -> Callable[[], float]:
    steps, start = _warm(walk)
    events = [event for event, _ in walk.circle]
    rounds = max(1, number // len(events))

    def turn() -> float:
        record = start
        began = perf_counter()
        for _ in range(rounds):
            for event in events:
                record = steps.event(record, event, at=0.0, now=0.0).after
        return (perf_counter() - began) / (rounds * len(events))

    return turn


def _lookups(walk: Walk, number: int) -> Callable[[], float]:
    steps, record = _warm(walk)
    cases = []
    for event, _ in walk.circle:
        step = steps.event(record, event, at=0.0, now=0.0)
        cases.append((record.situation, steps.plan(event.type).event_class, step.during, event))
        record = step.after
    rounds = max(1, number // len(cases))
    look_up = steps.table.step

    def turn() -> float:
        began = perf_counter()
        for _ in range(rounds):
            for situation, event_class, during, event in cases:
                look_up(situation, event_class, during, event)
        return (perf_counter() - began) / (rounds * len(cases))

    return turn


def _sends(walk: Walk, number: int) -> Callable[[], float]:
    machine, model = plain_machines(walk.definition)()
    for event, answers in walk.way_there:
        answer(model, answers)
        machine.send(token(event.type))
    circle = [(token(event.type), answers) for event, answers in walk.circle]
    rounds = max(1, number // len(circle))

    def turn() -> float:
        took = 0.0
        for _ in range(rounds):
            for token, answers in circle:
                answer(model, answers)
                began = perf_counter()
                machine.send(token)
                took += perf_counter() - began
        return took / (rounds * len(circle))

    return turn


# -- the library's machine, as its users would write it --


class PlainModel:
    """What the machine asks its guards of: an attribute each."""

    state: Any = None
    call_id: str | None = None


def plain_machines(definition: Definition) -> Callable[[], tuple[Any, PlainModel]]:
    """Makes machines of the definition's states, transitions and guards: without callbacks or timers."""
    names = [*EventType, *(e.type for e in (Event("walk.went_on"), Event("door.opened")))]
    guards: dict[str, str] = {}

    def guard(text: str) -> str:
        return guards.setdefault(text, text if text.isidentifier() else f"guard_{len(guards)}")

    def transition(given: Transition) -> dict[str, Any]:
        tokens = [token(name) for name in names if any(matches(pattern, name) for pattern in given.event)]
        return {
            "target": given.target,
            **({"event": " ".join(tokens or ["never"])} if given.event else {}),
            **({"cond": guard(given.cond.text)} if given.cond else {}),
            **({"unless": guard(given.unless.text)} if given.unless else {}),
        }

    def state(given: State) -> dict[str, Any]:
        built: dict[str, Any] = {"initial": given.initial, "final": given.final}
        if given.states:
            built["states"] = {child.id: state(child) for child in given.states}
            built["parallel"] = given.parallel
        if given.history:
            built["history"] = {
                back.id: {"type": back.type, "transitions": [{"target": back.target}]} for back in given.history
            }
        built["transitions"] = [transition(each) for each in given.transitions]
        return built

    machine_class = create_machine_class_from_definition(
        "Benchmark",
        {given.id: state(given) for given in definition.states},  # type: ignore[misc]
        validate_final_reachability=False,
        validate_trap_states=False,
        validate_disconnected_states=False,
    )

    def make() -> tuple[Any, PlainModel]:
        model = PlainModel()
        for name in guards.values():
            setattr(model, name, False)
        return machine_class(model), model

    return make


def token(event_type: str) -> str:
    """What an event is called there."""
    return "on_" + str(event_type).replace(".", "_")


def answer(model: PlainModel, answers: Mapping[str, bool]) -> None:
    """Let the guards of a machine answer so."""
    for name, answer in answers.items():
        setattr(model, name, answer)
