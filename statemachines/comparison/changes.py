"""What came, went and changed between two definitions, part by part, whatever it means for connections.

States, dependencies and all else that has a name are the same if the name is; a renamed one went and came. Transitions
and timers have no name: those that say the same are the same, then those with the same events, or the same target, are
one that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from attrs import evolve, field, frozen

from statemachines.language.definition import After, Definition, State, Transition
from statemachines.language.sameness import plain

Kind = Literal["added", "removed", "changed"]
What = Literal[
    "definition",
    "state",
    "transition",
    "timer",
    "action",
    "history",
    "invoke",
    "defer",
    "dependency",
    "remember",
    "key",
    "timeout",
    "property",
]
_Part = TypeVar("_Part")


@frozen
class Change:
    """One part that came (``old`` is None), went (``new`` is None) or changed.

    :ivar state: the state that it belongs to; empty for parts of the whole definition
    :ivar name: what it is called, if it has a name; ``enter``, ``exit`` for actions
    """

    kind: Kind
    what: What
    state: str
    name: str
    old: Any = field(default=None, repr=False)
    new: Any = field(default=None, repr=False)


def changes(old: Definition, new: Definition) -> Iterator[Change]:
    """Every change, those of states in document order of both, then those of what the whole definition declares."""
    yield from _whole(old, new)
    yield from _states(old, new)
    for what, mine, theirs in (
        ("dependency", old.dependencies, new.dependencies),
        ("remember", old.remember, new.remember),
        ("key", old.keys, new.keys),
        ("timeout", old.timeouts, new.timeouts),
        ("property", old.properties, new.properties),
    ):
        yield from _named(what, "", mine, theirs)  # type: ignore[arg-type]


def _whole(old: Definition, new: Definition) -> Iterator[Change]:
    for name in ("name", "version", "starts_on", "early", "retain"):
        mine, theirs = getattr(old, name), getattr(new, name)
        if plain(mine) != plain(theirs):
            yield Change("changed", "definition", "", name, mine, theirs)


def _named(what: What, state: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield Change("removed", what, state, name, old=old[name])
        elif name not in old:
            yield Change("added", what, state, name, new=new[name])
        elif plain(old[name]) != plain(new[name]):
            yield Change("changed", what, state, name, old[name], new[name])


# -- states --


@frozen
class Stand:
    """How a state stands in the chart, its insides aside."""

    inside: str | None
    initial: bool
    final: bool
    parallel: bool


def _states(old: Definition, new: Definition) -> Iterator[Change]:
    mine, theirs = _stands(old), _stands(new)
    states = {state.id: state for state in old.walk()}
    states_now = {state.id: state for state in new.walk()}
    for name in _in_both_orders(list(states), list(states_now)):
        if name not in states_now:
            yield Change("removed", "state", name, name, old=states[name])
        elif name not in states:
            yield Change("added", "state", name, name, new=states_now[name])
        else:
            if mine[name] != theirs[name]:
                yield Change("changed", "state", name, name, mine[name], theirs[name])
            yield from _inside(states[name], states_now[name])


def _stands(definition: Definition) -> dict[str, Stand]:
    parents = definition.parents()
    parallel = {state.id for state in definition.walk() if state.parallel}
    return {
        state.id: Stand(
            parents[state.id], state.initial and parents[state.id] not in parallel, state.final, state.parallel
        )
        for state in definition.walk()
    }


def _in_both_orders(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """All names in the new order, each that went behind the one that it stood behind."""
    found = list(new)
    for number, name in enumerate(old):
        if name not in new:
            behind = found.index(old[number - 1]) + 1 if number else 0
            found.insert(behind, name)
    return found


def _inside(old: State, new: State) -> Iterator[Change]:
    for name, mine, theirs in (("enter", old.enter, new.enter), ("exit", old.exit, new.exit)):
        if plain(mine) != plain(theirs):
            kind: Kind = "added" if not mine else "removed" if not theirs else "changed"
            yield Change(kind, "action", new.id, name, mine or None, theirs or None)
    if old.defer != new.defer:
        kind = "added" if not old.defer else "removed" if not new.defer else "changed"
        yield Change(kind, "defer", new.id, "", old.defer or None, new.defer or None)
    yield from _named("history", new.id, {one.id: one for one in old.history}, {one.id: one for one in new.history})
    yield from _matched("invoke", new.id, old.invoke, new.invoke, (lambda one: one.call,))
    yield from _matched("transition", new.id, old.transitions, new.transitions, _TRANSITION_KEYS)
    yield from _matched("timer", new.id, old.after, new.after, _TIMER_KEYS)


_TRANSITION_KEYS: tuple[Callable[[Transition], Any], ...] = (
    lambda one: (one.event, one.target),
    lambda one: one.event,
    lambda one: (one.target, plain(one.cond), plain(one.unless)),
    lambda one: one.target,
)
_TIMER_KEYS: tuple[Callable[[After], Any], ...] = (
    lambda one: one.delay,
    lambda one: plain(one.transition),
    lambda one: one.transition.target,
)


def _matched(
    what: What, state: str, old: Sequence[_Part], new: Sequence[_Part], keys: Sequence[Callable[[_Part], Any]]
) -> Iterator[Change]:
    pairs = dict(_pairs(old, new, (plain, *keys)))
    came = set(range(len(new))) - set(pairs.values())
    for number, mine in enumerate(old):
        if number not in pairs:
            yield Change("removed", what, state, "", old=mine)
        elif plain(mine) != plain(new[pairs[number]]):
            yield Change("changed", what, state, "", mine, new[pairs[number]])
    for number in sorted(came):
        yield Change("added", what, state, "", new=new[number])
    order = [pairs[number] for number in sorted(pairs)]
    if order != sorted(order):
        yield Change("changed", what, state, "order", tuple(old), tuple(new))


def _pairs(
    old: Sequence[_Part], new: Sequence[_Part], keys: Sequence[Callable[[_Part], Any]]
) -> Iterator[tuple[int, int]]:
    mine, theirs = list(range(len(old))), list(range(len(new)))
    for key in keys:
        for number in list(mine):
            found = next((other for other in theirs if key(old[number]) == key(new[other])), None)
            if found is not None:
                mine.remove(number)
                theirs.remove(found)
                yield number, found


def inside_of(change: Change) -> Iterator[Change]:
    """All that a state holds itself that came or went, as changes of the same kind."""
    if change.new is None:
        yield from _inside(change.old, State(change.state))
    else:
        yield from _inside(State(change.state), change.new)


# -- both in one chart, for a picture --


@frozen(eq=False)
class Merged:
    """The new definition with all of the old one that went, and which parts came, went or changed.

    ``transitions`` are marked by identity: the same words may stand in two states. A changed one stands in its new
    form; ``was`` has the old one.
    """

    definition: Definition
    states: Mapping[str, Kind]
    transitions: Mapping[int, Kind]
    was: Mapping[int, Transition | After]


def merged(old: Definition, new: Definition) -> Merged:
    """Old and new as one chart. What went stands where it stood, or at the top if that went elsewhere."""
    found = list(changes(old, new))
    marks: dict[str, Kind] = {}
    transitions: dict[int, Kind] = {}
    was: dict[int, Transition | After] = {}
    gone: dict[str, list[Change]] = {}
    for change in found:
        if not change.state:
            continue
        if change.what == "state":
            marks[change.state] = change.kind
        elif change.what in ("transition", "timer") and not change.name:
            part = change.old if change.kind == "removed" else change.new
            part = part.transition if change.what == "timer" else part
            transitions[id(part)] = change.kind
            if change.kind == "changed":
                was[id(part)] = change.old
        else:
            marks.setdefault(change.state, "changed")
        if change.kind == "removed":
            gone.setdefault(change.state, []).append(change)
    _mark_whole_states(found, transitions)
    lost = {change.state: change.old for change in found if change.what == "state" and change.kind == "removed"}
    here = {state.id for state in new.walk()}
    at: dict[str | None, list[State]] = {}
    for name, state in lost.items():
        around = old.parents()[name]
        if around not in lost:
            at.setdefault(around if around in here else None, []).append(_only_lost(state, lost))
    order = {name: place for place, name in enumerate(_in_both_orders([s.id for s in old.walk()], list(new.parents())))}
    joined = _Joining(gone, at, order)
    return Merged(evolve(new, states=joined.states(None, new.states)), marks, transitions, was)


def _mark_whole_states(found: Sequence[Change], transitions: dict[int, Kind]) -> None:
    """All that a state that came or went holds itself came or went with it."""
    for change in found:
        if change.what == "state" and change.kind != "changed":
            state: State = change.old or change.new
            for transition in (*state.transitions, *(after.transition for after in state.after)):
                transitions[id(transition)] = change.kind


def _only_lost(state: State, lost: Mapping[str, State]) -> State:
    """A state that went, without states inside it that stand elsewhere now."""
    inside = tuple(_only_lost(child, lost) for child in state.states if child.id in lost)
    return evolve(state, states=inside, initial=False)


@frozen
class _Joining:
    """Puts what went back where it was."""

    gone: Mapping[str, Sequence[Change]]
    at: Mapping[str | None, Sequence[State]]
    order: Mapping[str, int]

    def states(self, around: str | None, inside: Sequence[State]) -> tuple[State, ...]:
        """The states inside another, with those that went."""
        both = [*(self._state(state) for state in inside), *self.at.get(around, ())]
        return tuple(sorted(both, key=lambda state: self.order[state.id]))

    def _state(self, state: State) -> State:
        def lost(what: What) -> list[Any]:
            return [one.old for one in self.gone.get(state.id, ()) if one.what == what]

        return evolve(
            state,
            transitions=(*state.transitions, *lost("transition")),
            after=(*state.after, *lost("timer")),
            history=(*state.history, *lost("history")),
            states=self.states(state.id, state.states),
        )
