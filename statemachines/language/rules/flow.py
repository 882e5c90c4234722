"""Rules about the ways through a chart: states that none leads to or from, transitions that are never taken."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from statemachines.language.definition import Transition, Trigger
from statemachines.language.expressions import Expression
from statemachines.language.names import covers
from statemachines.language.places import Placed, PlacedTransition
from statemachines.language.reachability import dead_ends, unreachable_states
from statemachines.language.rules.references import unknown_target
from statemachines.language.rules.rule import Finding, rule
from statemachines.language.rules.structure import initial_state


@rule(
    "unreachable-state",
    "error",
    wrong="states: {idle: {initial: true, after: {30s: over}}, lost: {after: {5s: over}}, over: {final: true}}",
    right="""
        states:
          idle: {initial: true, after: {30s: over}, transitions: [{event: call.lost, target: lost}]}
          lost: {after: {5s: over}}
          over: {final: true}
    """,
    needs="chart",
    ignorable=True,
)
def unreachable_state(placed: Placed) -> Iterator[Finding]:
    """Every state can be entered: some transition, timer or history leads to it, or it is where a chart begins.

    Guards count as true here, so what is reported can be entered by no event whatever.
    """
    if any(True for asked in (unknown_target, initial_state) for _ in asked.check(placed)):  # that alone explains it
        return
    for found in unreachable_states(placed):
        message = f"state '{found.state.id}' is unreachable: make it the target of a transition, or remove it"
        yield Finding(found.at, message, key=True)


@rule(
    "dead-end",
    "error",
    wrong="states: {idle: {initial: true, after: {30s: over}}, over: {}}",
    right="states: {idle: {initial: true, after: {30s: over}}, over: {final: true}}",
    needs="chart",
    ignorable=True,
)
def dead_end(placed: Placed) -> Iterator[Finding]:
    """A connection can leave every state that is not an end.

    A dead end is a non-final leaf with no transition and no timer on it or on any state around it: a connection
    that gets there stays in memory for ever.
    """
    for found in dead_ends(placed):
        message = f"state '{found.state.id}' is a dead end: give it a transition or a timer, or mark it 'final: true'"
        yield Finding(found.at, message, key=True)


@rule(
    "endless-transition",
    "error",
    wrong="states: {idle: {initial: true, after: {30s: over}, transitions: [{target: idle}]}, over: {final: true}}",
    right="""
        states:
          idle: {initial: true, after: {30s: over}, transitions: [{event: call.started, target: idle}]}
          over: {final: true}
    """,
    source="SCXML 3.13: transitions without event are taken until none is enabled",
)
def endless_transition(placed: Placed) -> Iterator[Finding]:
    """A transition without event is taken whenever it holds, so it leads away or is guarded."""
    for moved in placed.transitions:
        transition, owner = moved.transition, moved.owner.state
        if moved.timer or transition.event:
            continue
        if transition.target is None:
            message = "a transition with neither event nor target would run for ever: give it one of them"
            yield Finding(moved.at, message)
        elif transition.target == owner.id and is_unguarded(transition):
            message = f"a transition without event or guard from '{owner.id}' to itself would run for ever: give it one"
            yield Finding(moved.at, message)


@rule(
    "shadowed-transition",
    "error",
    wrong="""
        states:
          idle:
            initial: true
            transitions:
              - {event: "call.*", target: busy}
              - {event: call.ended, target: over}
          busy: {after: {30s: over}}
          over: {final: true}
    """,
    right="""
        states:
          idle:
            initial: true
            transitions:
              - {event: call.ended, target: over}
              - {event: "call.*", target: busy}
          busy: {after: {30s: over}}
          over: {final: true}
    """,
    needs="chart",
    ignorable=True,
    source="SCXML 3.13: of the enabled transitions of a state, the first in document order is taken",
)
def shadowed_transition(placed: Placed) -> Iterator[Finding]:
    """No transition stands behind one of the same state that always comes first.

    The earlier one hears all of its events and has no guard, or no other guard. Likewise nothing else of a state can
    be taken if it has a transition with neither event nor guard: that is taken at once, before any event or timer.
    """
    for found in placed.states:
        ways = [moved for moved in placed.transitions if moved.owner is found]
        at_once = next((moved for moved in ways if _is_taken_at_once(moved)), None)
        for number, moved in enumerate(ways):
            earlier = [other for other in ways[:number] if not other.timer] if not moved.timer else []
            if at_once is not None and moved is not at_once and (moved.timer or moved.transition.event):
                yield _shadowed(placed, moved, at_once, "is taken at once, without event or guard")
            elif (first := _shadow_of(moved.transition, earlier)) is not None:
                yield _shadowed(placed, moved, first, "always comes first")


def _is_taken_at_once(moved: PlacedTransition) -> bool:
    transition = moved.transition
    leads_away = transition.target not in (None, moved.owner.state.id)  # else it is an endless one
    return not moved.timer and not transition.event and leads_away and is_unguarded(transition)


def _shadow_of(later: Transition, earlier: list[PlacedTransition]) -> PlacedTransition | None:
    """One of the earlier transitions, if for each event of the later one of them is taken whenever it would be."""
    weaker = [moved for moved in earlier if _holds_whenever(moved.transition, later)]
    if not later.event:
        return next((moved for moved in weaker if not moved.transition.event), None)
    shadows = [
        next((moved for moved in weaker if any(covers(wide, event) for wide in moved.transition.event)), None)
        for event in later.event
    ]
    return shadows[0] if all(shadows) else None


def _holds_whenever(earlier: Transition, later: Transition) -> bool:
    return earlier.cond in (None, later.cond) and earlier.unless in (None, later.unless)


def _shadowed(placed: Placed, moved: PlacedTransition, first: PlacedTransition, why: str) -> Finding:
    line = placed.source.line_of(first.at)
    what = "timer never fires" if moved.timer else "transition is never taken"
    cure = "guard that one, or remove this" if moved.timer else "put this one first, guard that one, or remove this"
    return Finding(moved.at, f"this {what}: the one on {line} {why}: {cure}", key=moved.timer)


def is_unguarded(transition: Transition) -> bool:
    """Whether a transition has no guard at all."""
    return transition.cond is None and transition.unless is None


@rule(
    "waiting-without-timer",
    "warning",
    wrong="""
        dependencies: {audio: media.track_started}
        states:
          connecting: {initial: true, transitions: [{cond: all_ready, target: over}]}
          over: {final: true}
    """,
    right="""
        dependencies: {audio: media.track_started}
        states:
          connecting: {initial: true, after: {30s: over}, transitions: [{cond: all_ready, target: over}]}
          over: {final: true}
    """,
    needs="chart",
    ignorable=True,
)
def waiting_without_timer(placed: Placed) -> Iterator[Finding]:
    """Where a dependency is awaited, somebody loses patience: the state, or one around it, has a timer.

    A service that never reports ready would else keep the connection for ever. A state awaits a dependency if that
    lets a transition without event be taken; not so if the very event that makes it ready leads out anyway, and not in
    states such as `ready` that only look whether one is lost.
    """
    for found in placed.states:
        chain = (found.state, *found.around)
        if found.state.states or found.state.final or any(state.after for state in chain):
            continue
        ways = [way for state in chain for way in state.transitions if way.target not in (None, found.state.id)]
        awaited = _awaited(placed, ways)
        if awaited:
            names = ", ".join(awaited[:3]) + (", …" if len(awaited) > 3 else "")
            message = (
                f"state '{found.state.id}' waits for {names} and has no timer: if that never comes, it waits for ever; "
                "add one, as in after: {30s: …}"
            )
            yield Finding(found.at, message, key=True)


def _awaited(placed: Placed, ways: list[Transition]) -> list[str]:
    """The dependencies that let one of the ways without event be taken, and whose own events lead nowhere."""
    dependencies = placed.definition.dependencies
    read: set[str] = set()
    for transition in ways:
        if not transition.event:
            read |= _wanted(transition.cond, True) | _wanted(transition.unless, False)
    if "all_ready" in read:
        read |= {name for name, dependency in dependencies.items() if dependency.required}
    leaving = [transition for transition in ways if transition.event and is_unguarded(transition)]

    def leads_out(trigger: Trigger) -> bool:
        return any(covers(wide, trigger.event) for transition in leaving for wide in transition.event)

    return [
        name
        for name, dependency in dependencies.items()
        if name in read and not (dependency.ready_on and all(map(leads_out, dependency.ready_on)))
    ]


def _wanted(guard: Expression | None, wanted: bool) -> set[str]:
    """The names of dependencies, and `all_ready`, that have to be true for a guard to come out as wanted."""
    found: set[str] = set()

    def visit(node: ast.AST, wanted: bool) -> None:
        if isinstance(node, ast.Name):
            found.update([node.id] if wanted else [])
        elif isinstance(node, ast.Attribute | ast.Call):
            return
        else:
            is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
            for child in ast.iter_child_nodes(node):
                visit(child, wanted is not is_not)

    if guard is not None:
        visit(guard.tree, wanted)
    return found - {"event", "any_failed"}


RULES = (
    unreachable_state,
    dead_end,
    endless_transition,
    shadowed_transition,
    waiting_without_timer,
)
