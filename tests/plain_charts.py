"""Random charts for exploring and for other interpreters: plain payloads, and nothing deferred or invoked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from statemachines.language.definition import (
    After,
    Call,
    Definition,
    Dependency,
    History,
    Remembered,
    State,
    Transition,
    Trigger,
)
from statemachines.language.expressions import Expression, parse_expression

DEPENDENCIES = ("a", "b", "c")
NAMED = ("x.one", "x.two", "y.one", "y.deep.one", "z.one")
EVENTS = (*NAMED, "x.unnamed", "unheard.of")
PATTERNS = (*NAMED, "x.*", "y.*", "y.deep.*", "*")


# -- definitions --


@st.composite
def expressions(draw: st.DrawFn, states: list[str]) -> Expression:
    atoms = [
        *DEPENDENCIES,
        "all_ready",
        "any_failed",
        "True",
        "False",
        "data.n > 1",
        "data.n < 2",
        "meta.kept == 1",
        "meta.kept < 2",  # cannot be evaluated before something is remembered
        "event == 'x.one'",
        "a + b + c >= 2",
        *(f"In('{state}')" for state in states),
        *(f"visits.{state} < 3" for state in states),
    ]
    text = draw(st.sampled_from(atoms))
    for _ in range(draw(st.integers(0, 2))):
        other = draw(st.sampled_from(atoms))
        text = draw(st.sampled_from([f"{text} and {other}", f"{text} or {other}", f"not ({text})"]))
    return parse_expression(text)


class _Names:
    """Fresh names: an action that stands twice in one list runs once in the library, so each is another."""

    def __init__(self, histories: list[str]) -> None:
        self.histories = histories
        self.ends: list[str] = []
        self.actions = 0

    def action(self) -> Call:
        self.actions += 1
        return Call(f"act_{self.actions}")


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    shape = draw(_shapes(depth=4))
    ids: list[str] = []
    _name(shape, ids)
    names = _Names([f"was_{found['id']}" for found in _walk(shape) if found["history"] and found["children"]])
    names.ends = [f"done.state.{found['id']}" for found in _walk(shape) if found["children"]]
    states = tuple(_state(draw, child, ids, names, number == 0) for number, child in enumerate(shape))
    triggers = st.builds(
        Trigger,
        st.sampled_from(PATTERNS),
        st.one_of(st.none(), st.sampled_from(["data.n > 0", "a"]).map(parse_expression)),
    )
    several = st.lists(triggers, max_size=2).map(tuple)
    dependencies = {
        name: Dependency(draw(several), draw(several), draw(several), draw(st.booleans())) for name in DEPENDENCIES
    }
    remember = {"kept": Remembered(draw(several), parse_expression("data.n"))}
    return Definition(name="random", states=states, dependencies=dependencies, remember=remember)


def _shapes(depth: int) -> st.SearchStrategy[list[Any]]:
    """The tree of states: each with its children; a level has two or three."""
    if depth == 0:
        return st.just([])
    child = st.fixed_dictionaries(
        {
            "children": st.one_of(st.just([]), _shapes(depth - 1)),
            "final": st.booleans(),
            "parallel": st.booleans(),
            "history": st.one_of(st.none(), st.sampled_from(["shallow", "deep"])),
        }
    )
    return st.lists(child, min_size=2, max_size=3)


def _name(shape: list[Any], ids: list[str]) -> None:
    for child in shape:
        child["id"] = f"state_{len(ids)}"
        ids.append(child["id"])
        _name(child["children"], ids)


def _walk(shape: list[Any]) -> Iterator[Any]:
    for child in shape:
        yield child
        yield from _walk(child["children"])


def _state(draw: st.DrawFn, shape: Any, ids: list[str], names: _Names, initial: bool, region: bool = False) -> State:
    final = shape["final"] and not initial and not shape["children"] and not region
    parallel = shape["parallel"] and bool(shape["children"])
    actions = st.booleans().map(lambda wanted: (names.action(),) if wanted else ())
    children = tuple(
        _state(draw, child, ids, names, number == 0, parallel) for number, child in enumerate(shape["children"])
    )
    inside: list[str] = []
    _name_all(shape, inside)
    histories: tuple[History, ...] = ()
    if shape["history"] and children:
        histories = (History(f"was_{shape['id']}", draw(st.sampled_from(inside[1:])), shape["history"]),)
    transitions: list[Transition] = []
    timers: list[After] = []
    if not final:
        for _ in range(draw(st.integers(0, 3))):
            transitions.append(_transition(draw, shape, ids, names))
        if draw(st.booleans()):
            timers.append(After(5.0, "5s", _transition(draw, shape, ids, names, timer=True)))
    return State(
        id=shape["id"],
        initial=initial,
        final=final,
        enter=draw(actions),
        exit=draw(actions),
        transitions=tuple(transitions),
        after=tuple(timers),
        states=children,
        parallel=parallel,
        history=histories,
    )


def _transition(draw: st.DrawFn, shape: Any, ids: list[str], names: _Names, timer: bool = False) -> Transition:
    eventless = not timer and draw(st.integers(0, 3)) == 0
    event = () if eventless or timer else tuple(draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2)))
    if event and names.ends and draw(st.integers(0, 4)) == 0:
        event += (draw(st.sampled_from(names.ends)),)
    back = bool(names.histories) and draw(st.integers(0, 2)) == 0
    targets = st.sampled_from(names.histories if back else ids)
    target = draw(targets) if eventless else draw(st.one_of(st.none(), targets))
    inside: list[str] = []
    _name_all(shape, inside)
    guards = st.one_of(st.none(), expressions(ids))
    return Transition(
        event=event,
        target=target,
        cond=draw(guards),
        unless=draw(guards),
        internal=target in inside and draw(st.booleans()),
        on=(names.action(),) if draw(st.booleans()) else (),
    )


def _name_all(shape: Any, ids: list[str]) -> None:
    ids.append(shape["id"])
    for child in shape["children"]:
        _name_all(child, ids)


actions_of = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(EVENTS), st.integers(0, 3)),
    st.tuples(st.just("timer"), st.integers(0, 5), st.just(0)),
)

RICH = """
name: rich
dependencies:
  a: {ready_on: [x.one, z.one], lost_on: y.one}
  b: {ready_on: x.two, failed_on: y.deep.one}
  c: y.*
remember: {kept: {on: x.two, value: data.n}}
states:
  off:
    initial: true
    exit: [act_1]
    transitions:
      - {event: x.one, target: was_on_deep, on: [act_2]}
      - {event: x.two, target: was_on}
      - {event: z.one, target: was_playing, on: [act_3]}
  on:
    parallel: true
    history:
      was_on: {transitions: [{target: on_air}]}
      was_on_deep: {type: deep, transitions: [{target: playing}]}
    enter: [act_4]
    transitions:
      - {event: y.deep.one, target: off, on: [act_5]}
      - {event: done.state.on, target: off, on: [act_6]}
    after: {5s: {cond: a, target: off}}
    states:
      playing:
        history: {was_playing: {type: deep, transitions: [{target: fast}]}}
        transitions: [{event: "x.*", cond: data.n > 2, target: was_playing, on: [act_7]}]
        states:
          slow:
            initial: true
            exit: [act_8]
            transitions: [{event: y.one, target: fast}, {event: z.one, target: stopped}]
          fast:
            enter: [act_9]
            transitions: [{event: y.one, target: faster}, {cond: "b and In('off_air')", target: slow}]
            states:
              little: {initial: true, transitions: [{event: x.two, target: much}]}
              much: {after: {5s: little}, transitions: [{event: z.one, target: stopped}]}
          faster: {transitions: [{event: y.one, target: slow}], after: {5s: {target: fast, backoff: 2, max: 30s}}}
          stopped: {final: true, enter: [act_10]}
      air:
        states:
          on_air: {initial: true, transitions: [{event: x.one, target: off_air, on: [act_11]}]}
          off_air:
            transitions: [{event: x.two, target: on_air}, {event: z.one, cond: visits.off_air >= 2, target: gone}]
          gone: {final: true}
"""
