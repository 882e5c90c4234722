"""Rules about events: that what is published, invoked or kept is heard, and does not go round for ever."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from statemachines.language.definition import Action, Publish, State
from statemachines.language.names import covers
from statemachines.language.places import Placed, PlacedTransition
from statemachines.language.rules.flow import is_unguarded
from statemachines.language.rules.rule import Finding, rule

PHASE_CHANGED = "connection.phase_changed"


@rule(
    "unhandled-event",
    "warning",
    wrong="""
        states:
          asking: {initial: true, invoke: {call: ask, failed: model.failed}, after: {30s: over}}
          over: {final: true}
    """,
    right="""
        states:
          asking:
            initial: true
            invoke: {call: ask, failed: model.failed}
            after: {30s: over}
            transitions: [{event: model.failed, target: over}]
          over: {final: true}
    """,
    needs="chart",
    ignorable=True,
)
def unhandled_event(placed: Placed) -> Iterator[Finding]:
    """What an invoked coroutine ends with, and what a state defers, is heard by something in this file.

    Most often the failure was foreseen and then forgotten. A deferred event waits for a state that takes it, and only a
    transition can; of the end of an invoked coroutine, a dependency or remembered fact may learn as well.
    """
    taken = [event for moved in placed.transitions for event in moved.transition.event]
    heard = taken + [trigger.event for trigger, _, _ in placed.triggers]
    for found in placed.states:
        for invoke, place in placed.invokes(found):
            for key, event in (("done", invoke.done), ("failed", invoke.failed)):
                if event is not None and not any(covers(wide, event) for wide in heard):
                    message = f"no transition, dependency or remembered fact hears '{event}', with which this ends"
                    yield Finding((*place, key), f"{message}: add a transition, or remove it")
        for event, place in placed.deferred(found):
            if not any(covers(wide, event) or covers(event, wide) for wide in taken):
                yield Finding(place, f"no transition takes '{event}', so that it is deferred for nothing: remove it")


@frozen(eq=False)
class _Taken:
    """What follows from a transition at once: the events it publishes, and the states where it may then be heard."""

    moved: PlacedTransition
    published: frozenset[str]
    active: frozenset[str]


@rule(
    "publish-loop",
    "warning",
    wrong="""
        states:
          pinging:
            initial: true
            enter: [{publish: ping.sent}]
            transitions: [{event: ping.sent, target: ponging}]
          ponging:
            enter: [{publish: pong.sent}]
            transitions: [{event: pong.sent, target: pinging}]
    """,
    right="""
        states:
          pinging:
            initial: true
            enter: [{publish: ping.sent}]
            transitions: [{event: pong.received, target: ponging}]
          ponging:
            after: {10s: pinging}
    """,
    needs="chart",
    ignorable=True,
)
def publish_loop(placed: Placed) -> Iterator[Finding]:
    """A transition does not publish what leads back to it with nothing in between: no guard, no timer, no other event.

    What a connection publishes it hears itself. Such a loop runs until the bus cuts it, a thousand events later.
    A change of configuration publishes `connection.phase_changed`, so `*` and `connection.*` can close a loop too.
    """
    taken = [_follow(placed, moved) for moved in placed.transitions if is_unguarded(moved.transition)]
    following = {id(one): [other for other in taken if _leads_to(one, other)] for one in taken}
    for one in taken:
        if not one.moved.timer and one.moved.transition.event and _returns(one, following):
            named = sorted(event for event in one.published if event != PHASE_CHANGED) or [PHASE_CHANGED]
            message = (
                f"this transition publishes {', '.join(named)}, which leads back to it with nothing in between: "
                "it would go round for ever; guard it, or hear another event"
            )
            yield Finding(one.moved.at, message)


def _leads_to(one: _Taken, other: _Taken) -> bool:
    moved = other.moved
    if moved.timer or moved.owner.state.id not in one.active:
        return False
    return any(covers(wide, event) for wide in moved.transition.event for event in one.published)


def _returns(start: _Taken, following: dict[int, list[_Taken]]) -> bool:
    seen: set[int] = set()
    waiting = list(following[id(start)])
    while waiting:
        current = waiting.pop()
        if current is start:
            return True
        if id(current) not in seen:
            seen.add(id(current))
            waiting += following[id(current)]
    return False


def _follow(placed: Placed, moved: PlacedTransition) -> _Taken:
    """What a transition does, and the transitions without event or guard after it."""
    by_id = {found.state.id: found for found in placed.states}
    owner, target = moved.owner, moved.transition.target
    published = set(_published(moved.transition.on))
    active = {owner.state.id, *(state.id for state in owner.around)}
    if target is not None:
        published.update(_published(owner.state.exit))
        if target != owner.state.id:
            published.add(PHASE_CHANGED)
        active = set()
        waiting = list(placed.reached_by(target))
        while waiting:
            current = waiting.pop()
            found = by_id[current]
            if current in active:
                continue
            entered = list(_entered(found.state))
            active.update(state.id for state in (*entered, *found.around))
            for state in entered:
                published.update(_published(state.enter))
                for way in state.transitions:
                    if not way.event and way.target is not None and is_unguarded(way):
                        published.update((*_published(way.on), *_published(state.exit)))
                        waiting += placed.reached_by(way.target)
    for state in (owner.state, *owner.around):  # the other regions stay as they are
        if state.parallel:
            active.update(inner.id for inner in state.walk())
    return _Taken(moved, frozenset(published), frozenset(active))


def _entered(state: State) -> Iterator[State]:
    """A state and what is entered with it."""
    yield state
    for child in state.states:
        if child.initial or state.parallel:
            yield from _entered(child)


def _published(actions: tuple[Action, ...]) -> Iterator[str]:
    return (action.event for action in actions if isinstance(action, Publish))


RULES = (unhandled_event, publish_loop)
