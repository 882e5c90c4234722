"""Rules about guards and facts that can come out one way only."""

from __future__ import annotations

from collections.abc import Iterator

from statemachines.language.definition import Trigger
from statemachines.language.expressions import Expression
from statemachines.language.names import covers
from statemachines.language.places import Placed, PlacedTransition
from statemachines.language.rules.rule import Finding, rule
from statemachines.language.source import Location
from statemachines.language.truth import Asked, Outcomes

_NEVER: Outcomes = frozenset({(False,)})
_ALWAYS: Outcomes = frozenset({(True,)})


@rule(
    "dependency-without-events",
    "error",
    wrong="""
        dependencies: {audio: {required: false}}
        states: {idle: {initial: true, after: {30s: idle}}}
    """,
    right="""
        dependencies: {audio: {required: false, ready_on: media.track_started}}
        states: {idle: {initial: true, after: {30s: idle}}}
    """,
)
def dependency_without_events(placed: Placed) -> Iterator[Finding]:
    """A dependency has events: one that none changes stays as it is for ever."""
    for name, dependency in placed.definition.dependencies.items():
        if not (dependency.ready_on or dependency.lost_on or dependency.failed_on):
            message = f"dependency '{name}' has no events: say which makes it ready, as in ready_on: call.accepted"
            yield Finding(("dependencies", name), message, key=True)


@rule(
    "dependency-never-ready",
    "warning",
    wrong="""
        dependencies:
          audio: {ready_on: media.track_changed, lost_on: "media.*"}
        states: {idle: {initial: true, after: {30s: idle}}}
    """,
    right="""
        dependencies:
          audio: {ready_on: media.track_changed, lost_on: media.track_lost}
        states: {idle: {initial: true, after: {30s: idle}}}
    """,
    needs="sound",
    ignorable=True,
)
def dependency_never_ready(placed: Placed) -> Iterator[Finding]:
    """Some event can make each dependency ready.

    None can if it has no `ready_on`, if the `when` of each is never true, or if each of these events also loses or
    fails it: the stronger wins. Then only `mark_dependency_ready` does; ignore this rule where that is meant.
    """
    for name, dependency in placed.definition.dependencies.items():
        stronger = (*dependency.lost_on, *dependency.failed_on)
        why = ""
        if not dependency.ready_on:
            why = "it has no ready_on" if stronger else ""
        elif all(_is_never(placed, trigger) for trigger in dependency.ready_on):
            why = "the condition of its ready_on is never true"
        elif all(any(_outdoes(other, trigger) for other in stronger) for trigger in dependency.ready_on):
            why = "what makes it ready also loses or fails it, and the stronger wins"
        if why:
            message = f"nothing can make dependency '{name}' ready: {why}"
            yield Finding(("dependencies", name), message, key=True)


def _is_never(placed: Placed, trigger: Trigger) -> bool:
    return trigger.when is not None and _outcomes(placed, (trigger.when,), Asked(None, (trigger.event,))) == _NEVER


def _outdoes(stronger: Trigger, ready: Trigger) -> bool:
    return covers(stronger.event, ready.event) and stronger.when in (None, ready.when)


@rule(
    "guard-never-true",
    "warning",
    wrong="""
        states:
          idle:
            initial: true
            after: {30s: over}
            transitions: [{event: call.started, cond: data.tries > 3 and data.tries < 2, target: over}]
          over: {final: true}
    """,
    right="""
        states:
          idle:
            initial: true
            after: {30s: over}
            transitions: [{event: call.started, cond: data.tries > 3 or data.tries < 2, target: over}]
          over: {final: true}
    """,
    needs="sound",
    ignorable=True,
)
def guard_never_true(placed: Placed) -> Iterator[Finding]:
    """A guard can be true.

    Judged over all that it can read: readiness of dependencies, any payload, states that can be active together, the
    events of its transition. `any_failed`, for one, is never true where no dependency has a `failed_on`. What cannot be
    told for sure (arithmetic, two fields compared, too many names) is left alone.
    """
    for guard, place, outcomes in _judged(placed):
        if outcomes == _NEVER:
            yield Finding(place, f"'{guard}' is never true: {_consequence(place, False)}")
    for moved in placed.transitions:
        cond, unless = moved.transition.cond, moved.transition.unless
        if cond is None or unless is None:
            continue
        together = _outcomes(placed, (cond, unless), _asked(moved))
        if together is not None and (True, False) not in together and len(together) > 1:
            varied = all(len({outcome[side] for outcome in together}) == 2 for side in (0, 1))
            if varied:  # else it is the one guard alone that is reported
                message = f"'{cond}' is never true unless '{unless}' is too: the transition is never taken"
                yield Finding((*moved.at, "cond"), message)


@rule(
    "guard-always-true",
    "warning",
    wrong="""
        states:
          idle:
            initial: true
            after: {30s: over}
            transitions: [{event: call.started, cond: In('idle'), target: over}]
          over: {final: true}
    """,
    right="""
        states:
          idle:
            initial: true
            after: {30s: over}
            transitions: [{event: call.started, target: over}]
          over: {final: true}
    """,
    needs="sound",
    ignorable=True,
)
def guard_always_true(placed: Placed) -> Iterator[Finding]:
    """A guard can be false: one that never is guards nothing, and was most likely meant to.

    Judged as `guard-never-true` is.
    """
    for guard, place, outcomes in _judged(placed):
        if outcomes == _ALWAYS:
            yield Finding(place, f"'{guard}' is always true: {_consequence(place, True)}")


def _consequence(place: Location, outcome: bool) -> str:
    kind = place[-1]
    if kind == "when":
        return "remove the condition" if outcome else "the event never counts"
    if (kind == "cond") is outcome:
        return "remove the guard"
    return "the transition is never taken"


def _judged(placed: Placed) -> Iterator[tuple[Expression, Location, Outcomes | None]]:
    """Every guard and condition with where it stands and how it can come out."""
    for moved in placed.transitions:
        for key, guard in (("cond", moved.transition.cond), ("unless", moved.transition.unless)):
            if guard is not None:
                yield guard, (*moved.at, key), _outcomes(placed, (guard,), _asked(moved))
    for trigger, _, place in placed.triggers:
        if trigger.when is not None:
            yield trigger.when, place, _outcomes(placed, (trigger.when,), Asked(None, (trigger.event,)))


def _asked(moved: PlacedTransition) -> Asked:
    events = ("timer.fired",) if moved.timer else moved.transition.event
    return Asked(moved.owner.state.id, events)


def _outcomes(placed: Placed, guards: tuple[Expression, ...], asked: Asked) -> Outcomes | None:
    assert placed.truth is not None, "rules that ask are run with an answer only"
    return placed.truth(guards, asked)


RULES = (dependency_without_events, dependency_never_ready, guard_never_true, guard_always_true)
