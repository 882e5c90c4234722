"""Which states can be entered at all, judged from the chart alone: guards count as true, any event may come.

``phasebus explore`` answers the same question exactly; here it takes no time and finds the plain mistakes.
"""

from __future__ import annotations

from statemachines.language.places import Placed, PlacedState


def unreachable_states(placed: Placed) -> list[PlacedState]:
    """The states that no way leads to.

    A state is reachable if it is the initial one of a reachable state (or of the top), the target of a transition or
    timer of a reachable state, the target of a history that is one, a region of a reachable state, or around a
    reachable state. The first final state of the top level always is: that is
    where ``terminate_connection`` leads.
    """
    by_id = {found.state.id: found for found in reversed(placed.states)}
    targets: dict[str, list[str]] = {}
    for moved in placed.transitions:
        target = moved.transition.target
        for reached_id in placed.reached_by(target) if target is not None else ():
            targets.setdefault(moved.owner.state.id, []).append(reached_id)
    reached: set[str] = set()
    waiting = [state.id for state in placed.definition.states if state.initial]
    waiting += [state.id for state in placed.definition.states if state.final][:1]
    while waiting:
        current = waiting.pop()
        if current in reached:
            continue
        reached.add(current)
        found = by_id[current]
        waiting += [child.id for child in found.state.states if child.initial or found.state.parallel]
        waiting += [outer.id for outer in found.around]
        waiting += targets.get(current, ())
    return [found for found in placed.states if found.state.id not in reached]


def dead_ends(placed: Placed) -> list[PlacedState]:
    """The non-final leaves with no transition and no timer on them or on any state around them."""
    return [
        found
        for found in placed.states
        if not found.state.states
        and not found.state.final
        and not any(state.transitions or state.after for state in (found.state, *found.around))
    ]
