"""Statecharts over the whole language, made by hypothesis; and what happens to them.

Four levels deep, with regions, both histories, finals anywhere but at the start of a region, internal transitions and
those without target, lists of events and patterns, eventless ones, timers that back off, ``defer`` and ``invoke``;
guards over dependencies, payloads, what is remembered, visits and ``In``. Names are such that a library could stumble
over them. A choice of 0 is always the plainest, so that hypothesis shrinks towards small charts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from attrs import define, field
from hypothesis import strategies as st

from statemachines.language.definition import (
    Action,
    After,
    Call,
    Definition,
    Dependency,
    History,
    Invoke,
    Publish,
    Remembered,
    State,
    Transition,
    Trigger,
)
from statemachines.language.expressions import Expression, parse_expression

T = TypeVar("T")

DEPENDENCIES = ("a", "b", "c")
NAMED = ("x.one", "x.two", "y.one", "y.deep.one", "z.one")
EVENTS = (*NAMED, "x.unnamed", "unheard.of")
PATTERNS = (*NAMED, *NAMED, "x.*", "y.*", "y.deep.*", "*", "dependency.marked")
TIMEOUTS = {"patience": 3.0, "long": 20.0}
MOST_STATES = 16
DEPTH = 4

AWKWARD = ("states", "model", "send", "history", "parent", "id", "e1", "s1", "root", "event", "name", "configuration")
"""Names that mean something to python-statemachine, or that the table gives to what it builds."""

_ATOMS = (
    "a",
    "b",
    "c",
    "all_ready",
    "any_failed",
    "True",
    "data.n > 1",
    "data.n == 0",
    "data.deep.n == 2",
    "data.nothing is None",
    "meta.kept == 1",
    "meta.kept < 2",  # cannot be evaluated before something is remembered
    "meta.twice >= data.n",
    "event == 'x.one'",
    "event in ['x.two', 'timer.fired']",
    "a + b + c >= 2",
    "10 % data.n == 1",  # cannot be evaluated for 0
    "False",
)


@define
class _Shape:
    """A state before anything but its place is known."""

    id: str
    parallel: bool = False
    final: bool = False
    region: bool = False
    initial: bool = False
    children: list[_Shape] = field(factory=list)
    histories: list[str] = field(factory=list)

    def walk(self) -> Iterator[_Shape]:
        yield self
        for child in self.children:
            yield from child.walk()


class _Drawing:
    """Draws numbers, and with them whatever else; ``ids`` are the states that expressions may speak of."""

    def __init__(self, draw: st.DrawFn, ids: Sequence[str] = ()) -> None:
        self._draw = draw
        self.ids = ids

    def number(self, most: int) -> int:
        return self._draw(st.integers(0, most))

    def chance(self, one_in: int) -> bool:
        return self.number(one_in - 1) == 1

    def pick(self, values: Sequence[T]) -> T:
        return values[self.number(len(values) - 1)]

    def expression(self) -> Expression:
        text = self._atom()
        for _ in range(self.pick((0, 0, 1, 2))):
            other = self._atom()
            text = self.pick((f"{text} and {other}", f"{text} or {other}", f"not ({text})"))
        return parse_expression(text)

    def _atom(self) -> str:
        which = self.number(len(_ATOMS) + 5)
        if which < len(_ATOMS):
            return _ATOMS[which]
        state = self.pick(self.ids)
        return f"visits.{state} < 3" if which == len(_ATOMS) else f"In('{state}')"


class _Maker(_Drawing):
    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(draw)
        self._actions = 0
        self._states = 0
        self.awkward = self.chance(4)
        self.top = [self._shape(1, number == 0, False) for number in range(2 + self.number(1))]
        self.shapes = [shape for top in self.top for shape in top.walk()]
        self.ids = [shape.id for shape in self.shapes]
        self.histories = [history for shape in self.shapes for history in shape.histories]
        self.ends = [f"done.state.{shape.id}" for shape in self.shapes if shape.children]

    # -- the tree --

    def _shape(self, depth: int, initial: bool, region: bool) -> _Shape:
        number = self._states
        self._states += 1
        name = AWKWARD[number] if self.awkward and number < len(AWKWARD) else f"state_{number}"
        shape = _Shape(name, initial=initial, region=region)
        if depth < DEPTH and self._states < MOST_STATES and self.chance(2):
            shape.parallel = self.chance(3)
            shape.children = [self._shape(depth + 1, child == 0, shape.parallel) for child in range(2 + self.number(1))]
            shape.histories = [f"was_{kind}_{name}" for kind in ("shallow", "deep") if self.chance(3)]
        else:
            begins = initial and (depth == 1 or self.number(3) > 0)  # a compound state may begin in its end
            shape.final = not region and not begins and self.chance(2)
        return shape

    # -- what stands in it --

    def actions(self) -> tuple[Action, ...]:
        """Fresh names: an action that stands twice in one list runs once in the library, so each is another."""
        made: list[Action] = []
        for _ in range(self.pick((0, 1, 1, 2))):
            self._actions += 1
            if self.chance(3):
                data = {"v": self.expression(), "deep": [{"e": self.expression()}, 1]}
                made.append(Publish(f"told.act_{self._actions}", data))
            else:
                made.append(Call(f"act_{self._actions}"))
        return tuple(made)

    def triggers(self, most: int = 2) -> tuple[Trigger, ...]:
        return tuple(
            Trigger(self.pick(PATTERNS), self.expression() if self.chance(3) else None)
            for _ in range(self.number(most))
        )

    def transition(self, shape: _Shape, timer: bool = False) -> Transition:
        eventless = not timer and self.chance(4)
        event = () if eventless or timer else tuple(self.pick(PATTERNS) for _ in range(1 + self.number(1)))
        if event and self.ends and self.chance(3):
            event = (*event, self.pick(self.ends))
        target = self._target(eventless)
        inside = {name for inner in shape.walk() for name in (inner.id, *inner.histories)}
        guards = self.pick(("cond", "unless", "both")) if eventless and self.number(9) else self.pick(("", "", "cond"))
        return Transition(
            event=event,
            target=target,
            cond=self.expression() if guards in ("cond", "both") else None,
            unless=self.expression() if guards in ("unless", "both") else None,
            internal=target in inside and self.chance(2),
            on=self.actions(),
        )

    def _target(self, needed: bool) -> str | None:
        if self.histories and self.chance(4):
            return self.pick(self.histories)
        return None if not needed and self.chance(6) else self.pick(self.ids)

    def after(self, shape: _Shape, written: str, delay: float | str) -> After:
        transition = self.transition(shape, timer=True)
        return After(delay, written, transition, *((2.0, 30.0) if self.chance(3) else ()))

    def state(self, shape: _Shape) -> State:
        inside = [inner.id for child in shape.children for inner in child.walk()]
        histories = tuple(
            History(name, self.pick(inside), "deep" if name.startswith("was_deep") else "shallow")
            for name in shape.histories
        )
        children = tuple(self.state(child) for child in shape.children)
        if shape.final:
            return State(shape.id, shape.initial, final=True, enter=self.actions(), exit=self.actions())
        delays = (("5s", 5.0), ("2s", 2.0), ("patience", "patience"))
        return State(
            id=shape.id,
            initial=shape.initial,
            parallel=shape.parallel,
            enter=self.actions(),
            exit=self.actions(),
            transitions=tuple(self.transition(shape) for _ in range(self.number(3))),
            after=tuple(self.after(shape, *delays[n]) for n in range(self.pick((0, 0, 1, 2)))),
            states=children,
            history=histories,
            defer=(self.pick(PATTERNS[:-2]),) if self.chance(6) else (),
            invoke=tuple(Invoke(f"work_{shape.id}_{n}") for n in range(self.pick((0, 0, 1, 2)))),
        )

    def definition(self) -> Definition:
        dependencies = {
            name: Dependency(self.triggers(), self.triggers(1), self.triggers(1), not self.chance(3))
            for name in DEPENDENCIES
        }
        remember = {
            "kept": Remembered(self.triggers(), parse_expression("data.n")),
            "twice": Remembered(self.triggers(), parse_expression("data.n * 2")),
        }
        states = tuple(self.state(shape) for shape in self.top)
        return Definition("random", states, retain=0.0, timeouts=TIMEOUTS, dependencies=dependencies, remember=remember)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """A definition of the whole language."""
    return _Maker(draw).definition()


@st.composite
def expressions(draw: st.DrawFn, states: Sequence[str]) -> Expression:
    """A guard that may speak of these states."""
    return _Drawing(draw, states).expression()


Happening = tuple[str, Any, Any]
"""What happens: ``("event", type, n)``, ``("timer", 0, 0)``, ``("wait", seconds, 0)``, ``("mark", dependency, 0)``,
``("terminate", 0, 0)``."""

_HAPPENINGS: tuple[Happening, ...] = (
    *(("event", name, n) for name in EVENTS for n in range(4)),
    *(("timer", 0, 0) for _ in range(6)),
    ("wait", 1.0, 0),
    ("wait", 0.5, 0),
    *(("mark", name, 0) for name in DEPENDENCIES),
    ("terminate", 0, 0),
)


def happenings(length: int) -> st.SearchStrategy[list[Happening]]:
    """So many things that happen, one after the other."""
    numbers = st.lists(st.integers(0, len(_HAPPENINGS) - 1), min_size=length, max_size=length)
    return numbers.map(lambda drawn: [_HAPPENINGS[number] for number in drawn])


def registrations() -> st.SearchStrategy[tuple[tuple[str, ...], dict[str, float], dict[str, Any]]]:
    """What a connection is registered with: the dependencies it requires, its own timeouts, its metadata."""
    return st.tuples(
        st.lists(st.sampled_from(DEPENDENCIES), unique=True).map(tuple),
        st.sampled_from([{}, {"patience": 7.5}]),
        st.sampled_from([{}, {"kept": 1}]),
    )
