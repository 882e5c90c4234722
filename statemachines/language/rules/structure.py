"""Rules about how a chart is put together: what begins, what is inside what, and what ends."""

from __future__ import annotations

from collections.abc import Iterator

from statemachines.language.definition import State
from statemachines.language.names import DONE, is_done, near
from statemachines.language.places import Placed, PlacedState
from statemachines.language.reachability import unreachable_states
from statemachines.language.rules.rule import Finding, rule
from statemachines.language.source import Location


@rule(
    "initial-state",
    "error",
    wrong="states: {idle: {after: {30s: over}}, over: {final: true}}",
    right="states: {idle: {initial: true, after: {30s: over}}, over: {final: true}}",
    source="SCXML 3.6: a state chart begins in one state",
)
def initial_state(placed: Placed) -> Iterator[Finding]:
    """Of the states at the top, and of those inside a state, exactly one is where it begins."""
    yield from _initial_among(placed.definition.states, ("states",), "at the top")
    for found in placed.states:
        if found.state.states and not found.state.parallel:
            yield from _initial_among(found.state.states, (*found.at, "states"), f"inside '{found.state.id}'")


def _initial_among(states: tuple[State, ...], base: Location, where: str) -> Iterator[Finding]:
    initial = [state.id for state in states if state.initial]
    if not initial:
        names = ", ".join(state.id for state in states[:8])
        yield Finding(base, f"no initial state {where}: mark one of {names} with 'initial: true'", key=True)
    for extra in initial[1:]:
        message = f"two initial states {where}, '{initial[0]}' and '{extra}': keep 'initial: true' on one"
        yield Finding((*base, extra, "initial"), message, key=True)


@rule(
    "parallel-regions",
    "error",
    wrong="states: {call: {initial: true, parallel: true, after: {1h: call}, states: {audio: {}}}}",
    right="states: {call: {initial: true, parallel: true, after: {1h: call}, states: {audio: {}, video: {}}}}",
    source="SCXML 3.4: the children of a parallel state are active together",
)
def parallel_regions(placed: Placed) -> Iterator[Finding]:
    """A parallel state has two or more regions, and none of them is final.

    It is active with all of them, so that one alone is a plain state, and one that is final would end as it begins.
    """
    for found in placed.states:
        if found.state.parallel and len(found.state.states) < 2:
            message = f"'{found.state.id}' is parallel, so it needs two or more states inside: add one, or remove it"
            yield Finding((*found.at, "parallel"), message, key=True)
        for child in found.state.states if found.state.parallel else ():
            if child.final:
                message = (
                    f"'{child.id}' is a region of '{found.state.id}', which begins there: put a final state inside it"
                )
                yield Finding((*found.at, "states", child.id, "final"), message, key=True)


@rule(
    "history-outside",
    "error",
    wrong="""
        states:
          away: {initial: true, after: {30s: back}}
          talking:
            history: {back: {transitions: [{target: away}]}}
            after: {1h: away}
            states: {hearing: {initial: true}}
    """,
    right="""
        states:
          away: {initial: true, after: {30s: back}}
          talking:
            history: {back: {transitions: [{target: hearing}]}}
            after: {1h: away}
            states: {hearing: {initial: true}}
    """,
    source="SCXML 3.10: history",
)
def history_outside(placed: Placed) -> Iterator[Finding]:
    """A history leads back into the state that it is of, and for the first time to a state inside it."""
    for found, history, at in placed.histories:
        inside = [state.id for state in found.state.walk()][1:]
        place = (*at, "transitions", 0, "target")
        if not inside:
            yield Finding(at, f"'{found.state.id}' has no states inside, so it has no history: remove it", key=True)
        elif history.target not in inside:
            hint = near(history.target, inside)
            message = (
                f"'{history.target[:60]}' is not inside '{found.state.id}', which '{history.id}' leads back to{hint}"
            )
            yield Finding(place, message)


@rule(
    "actions-to-history",
    "warning",
    wrong="""
        states:
          away: {initial: true, after: {30s: {target: back, on: [greet]}}}
          talking:
            history: {back: {transitions: [{target: hearing}]}}
            after: {1h: away}
            states: {hearing: {initial: true}}
    """,
    right="""
        states:
          away: {initial: true, exit: [greet], after: {30s: back}}
          talking:
            history: {back: {transitions: [{target: hearing}]}}
            after: {1h: away}
            states: {hearing: {initial: true}}
    """,
    source="python-statemachine 3.2 runs them twice; SCXML 3.10 would once",
)
def actions_to_history(placed: Placed) -> Iterator[Finding]:
    """A transition that leads to a history has no actions of its own, since they would run twice."""
    for moved in placed.transitions:
        if moved.transition.on and moved.transition.target in placed.history_ids:
            message = (
                f"actions on the way to history '{moved.transition.target}' run twice: put them on an exit or entry"
            )
            yield Finding((*moved.at, "on"), message, key=True)


@rule(
    "final-state-goes-on",
    "error",
    wrong="""
        states:
          idle: {initial: true, after: {30s: over}}
          over: {final: true, transitions: [{event: call.started, target: idle}]}
    """,
    right="""
        states:
          idle: {initial: true, after: {30s: over}}
          over: {transitions: [{event: call.started, target: idle}]}
    """,
    source="SCXML 3.7: a final state has no transitions and no states inside",
)
def final_state_goes_on(placed: Placed) -> Iterator[Finding]:
    """A final state is the end: nothing leaves it, nothing is inside, nothing is awaited or begun there."""
    for found in placed.states:
        if found.state.final:
            for key in ("transitions", "states", "parallel", "history", "defer", "invoke"):
                if getattr(found.state, key):
                    yield _of_a_final(found, key)


@rule(
    "timer-on-final-state",
    "error",
    wrong="states: {idle: {initial: true, after: {30s: over}}, over: {final: true, after: {5s: idle}}}",
    right="states: {idle: {initial: true, after: {30s: over}}, over: {after: {5s: idle}}}",
    source="SCXML 3.7: a final state has no transitions",
)
def timer_on_final_state(placed: Placed) -> Iterator[Finding]:
    """A final state has no timer: when it would be due, the connection has ended.

    How long a finished connection can still be asked about is `retain`, at the top of the file.
    """
    for found in placed.states:
        if found.state.final and found.state.after:
            yield _of_a_final(found, "after")


def _of_a_final(found: PlacedState, key: str) -> Finding:
    message = f"'{found.state.id}' is final, so it cannot have '{key}': remove it, or 'final: true'"
    return Finding((*found.at, key), message, key=True)


@rule(
    "internal-leaves-state",
    "error",
    wrong="""
        states:
          idle: {initial: true, transitions: [{event: call.started, internal: true, target: over}]}
          over: {final: true}
    """,
    right="""
        states:
          idle: {initial: true, transitions: [{event: call.started, target: over}]}
          over: {final: true}
    """,
    source="SCXML 3.5: an internal transition's target is inside its source",
)
def internal_leaves_state(placed: Placed) -> Iterator[Finding]:
    """An `internal` transition does not leave its state: its target is the state itself or inside it."""
    for moved in placed.transitions:
        target, owner = moved.transition.target, moved.owner.state
        if moved.transition.internal and target in placed.target_ids:
            inside = [inner for state in owner.walk() for inner in (state.id, *(h.id for h in state.history))]
            if target not in inside:
                message = f"an internal transition cannot leave '{owner.id}' for '{target}': remove 'internal: true'"
                yield Finding((*moved.at, "internal"), message, key=True)


@rule(
    "end-never-comes",
    "error",
    wrong="""
        states:
          call:
            initial: true
            parallel: true
            transitions: [{event: done.state.call, target: over}]
            states:
              audio: {states: {on: {initial: true, after: {1h: heard}}, heard: {final: true}}}
              video: {states: {shown: {initial: true, after: {5s: hidden}}, hidden: {after: {5s: shown}}}}
          over: {final: true}
    """,
    right="""
        states:
          call:
            initial: true
            parallel: true
            transitions: [{event: done.state.call, target: over}]
            states:
              audio: {states: {on: {initial: true, after: {1h: heard}}, heard: {final: true}}}
              video: {states: {shown: {initial: true, after: {5s: seen}}, seen: {final: true}}}
          over: {final: true}
    """,
    source="SCXML 3.4, 3.7: done.state.ID comes when a final child is entered, or one in each region",
)
def end_never_comes(placed: Placed) -> Iterator[Finding]:
    """`done.state.X` is waited for only where X can end: it has a final state, or each of its regions does.

    One region that can never finish is enough to keep a parallel state, and who waits for its end, for ever.
    """
    for moved in placed.transitions:
        for event, place in zip(moved.transition.event, placed.event_places(moved), strict=False):
            if not is_done(event):
                continue
            name = event[len(DONE) :]
            state = next((found.state for found in placed.states if found.state.id == name), None)
            if state is None:
                yield Finding(place, f"unknown state '{name[:60]}' in '{event[:80]}'{near(name, placed.state_ids)}")
            elif not _can_end(state):
                lacking = "a region without a final state" if state.parallel else "no final state inside"
                yield Finding(place, f"'{event}' never happens: '{name}' has {lacking}")


@rule(
    "endless-region",
    "warning",
    wrong="""
        states:
          call:
            initial: true
            parallel: true
            states:
              audio: {states: {on: {initial: true, after: {1h: heard}}, heard: {final: true}}}
              video: {states: {shown: {initial: true, after: {5s: hidden}}, hidden: {after: {5s: shown}}}}
    """,
    right="""
        states:
          call:
            initial: true
            parallel: true
            transitions: [{event: call.ended, target: over}]
            states:
              audio: {states: {on: {initial: true, after: {1h: heard}}, heard: {final: true}}}
              video: {states: {shown: {initial: true, after: {5s: hidden}}, hidden: {after: {5s: shown}}}}
          over: {final: true}
    """,
    needs="chart",
    ignorable=True,
    source="SCXML 3.4: a parallel state has ended when each of its regions has",
)
def endless_region(placed: Placed) -> Iterator[Finding]:
    """Where one region of a parallel state ends and another cannot, something else leads out of the state.

    The final state shows that it was meant to end. It never does, because of the other region, and nothing leaves it.
    """
    unreachable = frozenset(found.state.id for found in unreachable_states(placed))
    for found in placed.states:
        regions = found.state.states if found.state.parallel else ()
        endless = [region for region in regions if not _can_end(region, unreachable)]
        if endless and len(endless) < len(regions) and not _can_be_left(found, placed):
            ending = next(region.id for region in regions if region not in endless)
            for region in endless:
                message = (
                    f"region '{region.id}' can never finish, though '{ending}' beside it can, and nothing else leaves "
                    f"'{found.state.id}': give it a final state, or '{found.state.id}' a transition"
                )
                yield Finding((*found.at, "states", region.id), message, key=True)


def _can_end(state: State, unreachable: frozenset[str] = frozenset()) -> bool:
    """Whether the chart inside a state can end."""
    if state.parallel:
        return all(_can_end(region, unreachable) for region in state.states)
    return any(child.final and child.id not in unreachable for child in state.states)


def _can_be_left(found: PlacedState, placed: Placed) -> bool:
    """Whether a transition or timer leads from a state, one around it or one inside it to somewhere outside of it."""
    inside = {inner for state in found.state.walk() for inner in (state.id, *(h.id for h in state.history))}
    around = {state.id for state in found.around}
    return any(
        moved.transition.target is not None and moved.transition.target not in inside
        for moved in placed.transitions
        if moved.owner.state.id in inside | around
    )


RULES = (
    initial_state,
    parallel_regions,
    history_outside,
    actions_to_history,
    final_state_goes_on,
    timer_on_final_state,
    internal_leaves_state,
    end_never_comes,
    endless_region,
)
