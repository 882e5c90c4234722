"""What makes sense: small named rules over a loaded definition; all run, and all that they find is reported.

A rule takes a :class:`~statemachines.language.places.Placed` and yields findings, each with a location. ``RULES`` look
at one part each. ``CHART_RULES`` judge the chart as a whole, and so only when no part of it had to be taken out.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Collection, Iterator
from typing import Literal

from attrs import frozen

from statemachines.errors import Problem
from statemachines.language.definition import Definition, State
from statemachines.language.expressions import Expression
from statemachines.language.names import (
    DONE,
    NAME_RULE,
    RESERVED,
    is_done,
    is_name,
    is_pattern,
    is_reserved,
    near,
    near_name,
    nearest,
    says_what_happened,
)
from statemachines.language.places import Placed
from statemachines.language.reachability import dead_ends, unreachable_states
from statemachines.language.source import Location, Source


@frozen
class Finding:
    """What a rule found at ``location``; ``key`` points at its key, ``offset`` into its text."""

    location: Location
    message: str
    severity: Literal["error", "warning"] = "error"
    key: bool = False
    offset: int | None = None


Rule = Callable[[Placed], Iterator[Finding]]


def check_rules(definition: Definition, source: Source, faulty: Collection[Location]) -> list[Problem]:
    """What all rules find, without what only follows from the parts that are known to be ``faulty``."""
    placed = Placed(definition, source)
    known = _Faulty.of(faulty)
    rules = RULES if faulty else RULES + CHART_RULES
    return [
        source.problem(found.location, found.message, severity=found.severity, key=found.key, offset=found.offset)
        for rule in rules
        for found in rule(placed)
        if not source.is_broken(found.location) and not known.explains(found.location)
    ]


@frozen
class _Faulty:
    """Which findings only follow from faulty parts: those inside one, and those about what one is missing from."""

    parts: frozenset[Location]
    around: frozenset[Location]

    @classmethod
    def of(cls, parts: Collection[Location]) -> _Faulty:
        around = {
            wrong[:length]
            for wrong in parts
            for length in range(len(wrong) + 1)
            # Siblings are judged together for their `initial` only, whatever else is wrong inside one of them.
            if wrong[length - 1 : length] != ("states",) or wrong[-1] == "initial"
        }
        return cls(frozenset(parts), frozenset(around))

    def explains(self, location: Location) -> bool:
        inside = any(location[:length] in self.parts for length in range(1, len(location) + 1))
        return inside or location in self.around


def names_are_well_formed(placed: Placed) -> Iterator[Finding]:
    """Names are written the same way everywhere: lower case, digits, underscores."""
    definition = placed.definition
    named: list[tuple[str, str, Location, bool]] = [("definition", definition.name, ("name",), False)]
    named += [("state", found.state.id, found.at, True) for found in placed.states]
    named += [("history", history.id, at, True) for _, history, at in placed.histories]
    for kind, section in (
        ("dependency", "dependencies"),
        ("remembered fact", "remember"),
        ("key", "keys"),
        ("timeout", "timeouts"),
        ("property", "properties"),
    ):
        named += [(kind, name, (section, name), True) for name in placed.declared(section)]
    for kind, name, location, is_key in named:
        if not is_name(name):
            message = f"'{name[:60]}' cannot name a {kind}{near_name(name)}: {NAME_RULE}"
            yield Finding(location, message, key=is_key)


def names_are_free(placed: Placed) -> Iterator[Finding]:
    """A dependency or remembered fact cannot be called what already means something in an expression."""
    for name in placed.declared("dependencies"):
        if is_reserved(name):
            message = f"'{name}' already means something in an expression: call the dependency {name}_ready"
            yield Finding(("dependencies", name), message, key=True)
    for name in placed.declared("remember"):
        if keyword.iskeyword(name):
            message = f"meta.{name} cannot be written, as '{name}' is a word of the language: call it {name}_value"
            yield Finding(("remember", name), message, key=True)


def state_ids_are_unique(placed: Placed) -> Iterator[Finding]:
    """A target names a state by its id alone, so that no two states anywhere may share one."""
    first: dict[str, Location] = {}
    for found in placed.states:
        if found.state.id in first:
            line, _ = placed.source.position(first[found.state.id], key=True)
            message = f"duplicate state '{found.state.id}' (first on line {line}): ids are unique in the whole chart"
            yield Finding(found.at, message, key=True)
        first.setdefault(found.state.id, found.at)
    for _, history, at in placed.histories:
        if history.id in first:
            line, _ = placed.source.position(first[history.id], key=True)
            message = f"'{history.id}' is already something else on line {line}: ids are unique in the whole chart"
            yield Finding(at, message, key=True)
        first.setdefault(history.id, at)


def one_sibling_is_initial(placed: Placed) -> Iterator[Finding]:
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


def targets_exist(placed: Placed) -> Iterator[Finding]:
    """Transitions and timers lead to states of this chart."""
    for moved in placed.transitions:
        target = moved.transition.target
        if target is not None and target not in placed.target_ids:
            message = f"target '{target[:60]}' does not exist{near(target, placed.target_ids)}"
            yield Finding(moved.target_at, message)


def regions_are_several(placed: Placed) -> Iterator[Finding]:
    """A parallel state is active with all of its regions, so it has two or more, and none of them is final."""
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


def histories_lead_inside(placed: Placed) -> Iterator[Finding]:
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


def ends_can_come(placed: Placed) -> Iterator[Finding]:
    """``done.state.X`` happens when X's own chart has ended: X has a final state, or each of its regions does."""
    for moved in placed.transitions:
        for event, place in zip(moved.transition.event, placed.event_places(moved), strict=False):
            if not is_done(event):
                continue
            name = event[len(DONE) :]
            state = next((found.state for found in placed.states if found.state.id == name), None)
            if state is None:
                yield Finding(place, f"unknown state '{name[:60]}' in '{event[:80]}'{near(name, placed.state_ids)}")
            elif not can_be_done(state):
                lacking = "a region without a final state" if state.parallel else "no final state inside"
                yield Finding(place, f"'{event}' never happens: '{name}' has {lacking}")


def can_be_done(state: State) -> bool:
    """Whether the chart inside a state can end."""
    if state.parallel:
        return all(can_be_done(region) for region in state.states)
    return any(child.final for child in state.states)


def final_states_end(placed: Placed) -> Iterator[Finding]:
    """A final state is the end: nothing leaves it, and nothing is inside."""
    for found in placed.states:
        if found.state.final:
            for key in ("transitions", "after", "states", "parallel", "history", "defer", "invoke"):
                if getattr(found.state, key):
                    message = f"'{found.state.id}' is final, so it cannot have '{key}': remove it, or 'final: true'"
                    yield Finding((*found.at, key), message, key=True)


def internal_transitions_stay_inside(placed: Placed) -> Iterator[Finding]:
    """``internal`` means that the state is not left, so that the target is the state itself or inside it."""
    for moved in placed.transitions:
        target, owner = moved.transition.target, moved.owner.state
        if moved.transition.internal and target in placed.target_ids:
            inside = [inner for state in owner.walk() for inner in (state.id, *(h.id for h in state.history))]
            if target not in inside:
                message = f"an internal transition cannot leave '{owner.id}' for '{target}': remove 'internal: true'"
                yield Finding((*moved.at, "internal"), message, key=True)


def timeouts_exist(placed: Placed) -> Iterator[Finding]:
    """``after`` names a duration or one of ``timeouts``."""
    known = placed.declared("timeouts")
    for found in placed.states:
        for after in found.state.after:
            if isinstance(after.delay, str) and after.delay not in known:
                hint = near(after.delay, known)
                message = f"'{after.delay[:60]}' is neither a duration such as 30s nor one of 'timeouts'{hint}"
                yield Finding((*found.at, "after", after.written), message, key=True)


def dependencies_have_events(placed: Placed) -> Iterator[Finding]:
    """A dependency that no event changes stays as it is for ever."""
    for name, dependency in placed.definition.dependencies.items():
        if not (dependency.ready_on or dependency.lost_on or dependency.failed_on):
            message = f"dependency '{name}' has no events: say which makes it ready, as in ready_on: call.accepted"
            yield Finding(("dependencies", name), message, key=True)


def expressions_read_what_exists(placed: Placed) -> Iterator[Finding]:
    """Guards and values read declared dependencies, remembered facts and states."""
    for expression, place in placed.expressions():
        yield from _unknown_names(expression, place, placed)


def keys_are_in_the_payload(placed: Placed) -> Iterator[Finding]:
    """A key is looked for in events whose connection is not known yet, so its value is in the payload alone."""
    for name, key in placed.definition.keys.items():
        value = key.value
        place: Location = ("keys", name, "value")
        if value.dependencies or value.meta or value.visits or value.states or "data." not in value.text:
            message = (
                f"the value of key '{name}' must come from the event, as in data.{name}: its connection is not known"
            )
            yield Finding(place, message)
        if name in ("connection_id", "tenant_id"):
            yield Finding(("keys", name), f"'{name}' is no key of an event's payload: give it another name", key=True)


def _unknown_names(expression: Expression, place: Location, placed: Placed) -> Iterator[Finding]:
    dependencies = placed.declared("dependencies")
    remembered = placed.declared("remember")
    for name, offset in expression.dependencies:
        if name not in dependencies:
            yield Finding(place, f"unknown dependency '{name}'{_meant(name, placed)}", offset=offset)
    for name, offset in expression.meta:
        if name not in remembered:
            message = f"nothing is remembered as 'meta.{name}'{near(name, remembered)}: declare it under 'remember'"
            yield Finding(place, message, offset=offset)
    for written, names in (("visits.{}", expression.visits), ("In('{}')", expression.states)):
        for name, offset in names:
            if name not in placed.state_ids:
                where = written.format(name)
                yield Finding(place, f"unknown state '{name}' in {where}{near(name, placed.state_ids)}", offset=offset)


def _meant(name: str, placed: Placed) -> str:
    """What a name that is no dependency was probably meant to be."""
    if name.lower() in ("true", "false", "none", "null"):
        return f" (did you mean {'None' if name.lower() in ('none', 'null') else name.capitalize()}?)"
    if name in placed.declared("remember"):
        return f" (did you mean 'meta.{name}'?)"
    known = [*placed.declared("dependencies"), *(RESERVED - {"In"})]
    if hint := nearest(name, known):
        return hint
    if name in placed.state_ids:
        return f" (did you mean In('{name}')?)"
    return ": declare it under 'dependencies', or write data.NAME for a field of the event"


def eventless_transitions_settle(placed: Placed) -> Iterator[Finding]:
    """A transition without event is taken whenever it holds, so it must lead away or be guarded."""
    for moved in placed.transitions:
        transition, owner = moved.transition, moved.owner.state
        if moved.timer or transition.event:
            continue
        if transition.target is None:
            message = "a transition with neither event nor target would run for ever: give it one of them"
            yield Finding(moved.at, message)
        elif transition.target == owner.id and transition.cond is None and transition.unless is None:
            message = f"a transition without event or guard from '{owner.id}' to itself would run for ever: give it one"
            yield Finding(moved.at, message)


def reachable_states_exist(placed: Placed) -> Iterator[Finding]:
    """Properties speak of states of this chart."""
    for name, wanted in placed.definition.properties.items():
        state = wanted.always_reachable
        if state is not None and state not in placed.state_ids:
            message = f"unknown state '{state[:60]}'{near(state, placed.state_ids)}"
            yield Finding(("properties", name, "always_reachable"), message)


def closed_actions_exist(placed: Placed) -> Iterator[Finding]:
    """``closes`` speaks of actions of this chart."""
    for name, wanted in placed.definition.properties.items():
        for first, second in (wanted.closes or {}).items():
            at: Location = ("properties", name, "closes", first)
            for action, is_key in ((first, True), (second, False)):
                if action not in placed.action_names:
                    hint = near(action, placed.action_names)
                    yield Finding(at, f"no state or transition has the action '{action[:60]}'{hint}", key=is_key)


def events_say_what_happened(placed: Placed) -> Iterator[Finding]:
    """By convention an event is ``namespace.past_tense_action``."""
    seen: set[str] = set()
    for event, place in placed.events():
        if event not in seen and not is_pattern(event) and not is_done(event) and not says_what_happened(event):
            message = (
                f"'{event}' does not say what happened: by convention namespace.past_tense_action, as in call.accepted"
            )
            yield Finding(place, message, severity="warning")
        seen.add(event)


def timeouts_are_used(placed: Placed) -> Iterator[Finding]:
    """A timeout that no state waits for is a leftover."""
    if any(True for _ in timeouts_exist(placed)):  # most likely this one was meant there
        return
    used = {after.delay for found in placed.states for after in found.state.after}
    for name in placed.definition.timeouts:
        if name not in used:
            message = f"timeout '{name}' is never used: remove it, or name it in an 'after'"
            yield Finding(("timeouts", name), message, severity="warning", key=True)


def states_are_reachable(placed: Placed) -> Iterator[Finding]:
    """Every state can be entered. Not judged while a target or an initial state is missing: that alone explains it."""
    if any(True for rule in (targets_exist, one_sibling_is_initial) for _ in rule(placed)):
        return
    for found in unreachable_states(placed):
        message = f"state '{found.state.id}' is unreachable: make it the target of a transition, or remove it"
        yield Finding(found.at, message, key=True)


def no_state_is_a_dead_end(placed: Placed) -> Iterator[Finding]:
    """A connection can leave every state that is not an end."""
    for found in dead_ends(placed):
        message = f"state '{found.state.id}' is a dead end: give it a transition or a timer, or mark it 'final: true'"
        yield Finding(found.at, message, key=True)


RULES: tuple[Rule, ...] = (
    names_are_well_formed,
    names_are_free,
    state_ids_are_unique,
    one_sibling_is_initial,
    targets_exist,
    regions_are_several,
    histories_lead_inside,
    ends_can_come,
    final_states_end,
    internal_transitions_stay_inside,
    timeouts_exist,
    dependencies_have_events,
    expressions_read_what_exists,
    keys_are_in_the_payload,
    eventless_transitions_settle,
    reachable_states_exist,
    events_say_what_happened,
)
CHART_RULES: tuple[Rule, ...] = (closed_actions_exist, timeouts_are_used, states_are_reachable, no_state_is_a_dead_end)
