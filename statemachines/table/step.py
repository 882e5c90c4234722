"""One step of one connection: facts, then the table, then timers. Pure: it returns a value and carries out nothing.

step = steps.event(record, event, at=time.time(), now=time.monotonic())
step.after          # the record to keep
step.effects        # what to publish and call, in order
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import define, evolve, field, frozen

from bus.event import Event
from bus.names import matches
from statemachines.errors import UnknownDependency, UnknownTimeout, suggestion
from statemachines.language.definition import Definition, Trigger
from statemachines.table.compiling import Guard, Value
from statemachines.table.layout import Layout, TimerSpec, status
from statemachines.table.record import Identity, Record, Timer, next_order
from statemachines.table.table import CallEffect, Outcome, StepTable
from statemachines.table.trail import Trail

DEPENDENCY_MARKED = "dependency.marked"
TIMER_FIRED = "timer.fired"
CREATED = "connection.created"

MAX_REMEMBERED_PLANS = 10_000
MAX_DOUBLINGS = 100
MAX_DEFERRED = 16

Deferral = Literal["deferred", "refused"]


@define(eq=False, weakref_slot=False)
class Step:
    """What an event did to a connection.

    ``before`` is None for the registration. ``during`` holds the facts that the guards saw: those after the event, with
    the visits from before. ``deferral`` tells whether the event was ``deferred``, or would have been but for too many
    others (``refused``); ``fired`` is the timer whose step it is. Everything else can be read off these.
    """

    event: Event
    before: Record | None
    during: Record
    after: Record
    outcome: Outcome
    layout: Layout
    deferral: Deferral | None = None
    fired: Timer | None = None

    @property
    def ignored(self) -> bool:
        """Whether the event changed nothing at all: no fact, no timer, and no transition was taken."""
        return self.after is self.before

    @property
    def changed_configuration(self) -> bool:
        """Whether the connection is in another configuration than before."""
        return self.before is not None and self.outcome.moved

    def facts(self) -> Iterator[tuple[str, Any]]:
        """The facts that changed: dependencies with ``pending``, ``ready`` or ``failed``, then ``meta.<name>``."""
        if self.before is None or self.during is self.before:
            return
        for name, bit in self.layout.bits.items():
            now = dependency_status(self.during, bit)
            if now != dependency_status(self.before, bit):
                yield name, now
        for name, old, new in zip(self.layout.remembered, self.before.remembered, self.during.remembered, strict=True):
            if old is not new and old != new:
                yield f"meta.{name}", new

    def effects(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """What follows, in order: (event type, payload) to publish, (hook name, None) to call."""
        for effect in self.outcome.effects:
            if isinstance(effect, CallEffect):
                yield effect.name, None
            else:
                yield effect.event_type, effect.data(self.during, self.event)

    @property
    def armed(self) -> tuple[Timer, ...]:
        """The timers that began with this step, in the order they were armed."""
        before = self.before.timers if self.before is not None else ()
        return tuple([timer for timer in self.after.timers if timer not in before]) if before else self.after.timers

    @property
    def cancelled(self) -> tuple[Timer, ...]:
        """The timers that ended with this step, the one that fired included."""
        before = self.before.timers if self.before is not None else ()
        after = self.after.timers
        return tuple([timer for timer in before if timer not in after]) if after else before


def dependency_status(record: Record, bit: int) -> str:
    """``ready``, ``failed`` or ``pending``."""
    return status(record.ready & bit, record.failed & bit)


Condition = Guard | Literal[True]

FAILED, LOST, READY = "failed", "lost", "ready"


@frozen(eq=False)
class DependencyRule:
    """What an event means for one dependency: the first of these conditions that holds says it, the stronger first."""

    bit: int
    meanings: tuple[tuple[Condition, str], ...]


@frozen(eq=False)
class Plan:
    """Everything that the type of an event decides."""

    event_class: int
    named: bool
    dependencies: tuple[DependencyRule, ...]
    remembered: tuple[tuple[int, Condition, Value], ...]
    tells: bool = field(init=False)
    """Whether such an event may change a fact."""
    readies: int = field(init=False)
    """The dependencies that it may make ready."""

    @tells.default
    def _tells(self) -> bool:
        return bool(self.dependencies or self.remembered)

    @readies.default
    def _readies(self) -> int:
        return sum(rule.bit for rule in self.dependencies if any(meaning is READY for _, meaning in rule.meanings))


class Steps:
    """Makes the steps of all connections of one definition."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.layout = Layout(definition)
        self.table = StepTable(self.layout)
        self._plans: dict[str, Plan] = {}
        self._no_visits = (0,) * len(self.layout.visited)
        self._no_trail = Trail()
        self._nowhere = self.table.situation(())
        self.blank = Record(
            Identity("", None, None, None, {}, 0.0),
            self._nowhere,
            0,
            0,
            0,
            (None,) * len(self.layout.remembered),
            self._no_visits,
            (),
            0.0,
            0.0,
        )
        """A record of nobody, for conditions that are asked before there is a connection."""

    # -- the four kinds of step --

    def register(self, identity: Identity, required: int, event: Event, *, at: float, now: float) -> Step:
        """Enter the initial states. ``at`` is Unix seconds, ``now`` the monotonic clock."""
        remembered = self.blank.remembered
        if identity.metadata:
            remembered = tuple([identity.metadata.get(name) for name in self.layout.remembered])
        during = Record(identity, self._nowhere, 0, 0, required, remembered, self._no_visits, (), at, at)
        during.trail = self._no_trail
        outcome = self.table.start(during, event)
        return self._finish(event, None, during, outcome, at, now)

    def event(self, record: Record, event: Event, *, at: float, now: float) -> Step:
        """Process an event of the bus."""
        plan = self._plans.get(event.type) or self.plan(event.type)
        during = self._learn(record, event, plan, at) if plan.tells else record
        situation = record.situation
        outcome = self.table.step(situation, plan.event_class, during, event)
        if outcome.quiet:
            step = Step(event, record, during, during, outcome, self.layout)
        else:
            step = self._finish(event, record, during, outcome, at, now)
        if situation.defers and not outcome.handled and self._defers(record, event):
            if len(record.deferred) >= MAX_DEFERRED:
                step.deferral = "refused"
            else:
                step.deferral = "deferred"
                step.after = _with_deferred(step.after, (*record.deferred, event))
        return step

    def send_again(self, record: Record, event: Event, *, at: float, now: float) -> Step | None:
        """Send a deferred event again; None if it goes on waiting where the connection is now.

        What it told was learnt when it came: only the chart sees it again.
        """
        outcome = self.table.step(record.situation, self.plan(event.type).event_class, record, event)
        if not outcome.handled and self._defers(record, event):
            return None
        step = self._taken(event, record, record, outcome, at, now)
        waiting = tuple(other for other in record.deferred if other is not event)
        step.after = _with_deferred(step.after, waiting)
        return step

    def _defers(self, record: Record, event: Event) -> bool:
        return any(matches(pattern, event.type) for pattern in record.situation.defers)

    def _taken(self, event: Event, record: Record, during: Record, outcome: Outcome, at: float, now: float) -> Step:
        if outcome.quiet:
            return Step(event, record, during, during, outcome, self.layout)
        return self._finish(event, record, during, outcome, at, now)

    def mark(self, record: Record, dependency: str, event: Event, *, at: float, now: float) -> Step:
        """Make a dependency ready by hand, as an event ``dependency.marked`` that does just that."""
        bit = self.bit(dependency)
        during = record
        if not record.ready & bit:
            during = _with_facts(record, record.ready | bit, record.failed & ~bit, record.remembered, at)
        outcome = self.table.step(record.situation, self.plan(event.type).event_class, during, event)
        return self._taken(event, record, during, outcome, at, now)

    def fire(self, record: Record, timer: Timer, event: Event, *, at: float, now: float) -> Step:
        """Let a due timer fire."""
        timers = tuple(other for other in record.timers if other is not timer)
        during = Record(
            record.identity,
            record.situation,
            record.ready,
            record.failed,
            record.required,
            record.remembered,
            record.visits,
            timers,
            record.since,
            at,
            record.deferred,
            record.trail,
        )
        outcome = self.table.step(record.situation, timer.spec.event_class, during, event)
        step = self._finish(event, record, during, outcome, at, now)
        step.fired = timer
        return step

    def terminate(self, record: Record, event: Event, *, at: float, now: float) -> Step:
        """Go to the first final state of the top level, or, if there is none, leave all states."""
        outcome = self.table.step(record.situation, self.layout.termination_class, record, event)
        return self._finish(event, record, record, outcome, at, now)

    # -- what an event's type decides --

    def plan(self, event_type: str) -> Plan:
        """Everything that the type of an event decides, worked out once."""
        found = self._plans.get(event_type)
        if found is None:
            found = self._make_plan(event_type)
            if len(self._plans) >= MAX_REMEMBERED_PLANS:
                self._plans.clear()
            self._plans[event_type] = found
        return found

    def bit(self, dependency: str) -> int:
        """The bit of a dependency, or :class:`UnknownDependency` with the nearest right name."""
        try:
            return self.layout.bits[dependency]
        except KeyError:
            raise UnknownDependency(
                f"{self.definition.name} declares no dependency '{dependency}'"
                f"{suggestion(dependency, self.layout.bits)}; it declares {', '.join(self.layout.bits) or 'none'}"
            ) from None

    def check_timeouts(self, timeouts: Mapping[str, float] | None) -> None:
        """Raise :class:`UnknownTimeout` for a name that the definition does not have."""
        for name, seconds in (timeouts or {}).items():
            if name not in self.definition.timeouts:
                raise UnknownTimeout(
                    f"{self.definition.name} has no timeout '{name}'{suggestion(name, self.definition.timeouts)}; "
                    f"it has {', '.join(self.definition.timeouts) or 'none'}"
                )
            if not seconds > 0:
                raise UnknownTimeout(f"the timeout '{name}' must be more than 0 seconds, not {seconds}")

    def _make_plan(self, event_type: str) -> Plan:
        def conditions(triggers: tuple[Trigger, ...]) -> list[Condition]:
            found = (self._condition(trigger) for trigger in triggers if matches(trigger.event, event_type))
            return [condition for condition in found if condition is not False]

        rules = (
            DependencyRule(
                self.layout.bits[name],
                (
                    *((condition, FAILED) for condition in conditions(dependency.failed_on)),
                    *((condition, LOST) for condition in conditions(dependency.lost_on)),
                    *((condition, READY) for condition in conditions(dependency.ready_on)),
                ),
            )
            for name, dependency in self.definition.dependencies.items()
        )
        return Plan(
            event_class=self.layout.event_class(event_type),
            named=self.layout.is_named(event_type),
            dependencies=tuple(rule for rule in rules if rule.meanings),
            remembered=tuple(
                (number, condition, self.table.compiler.value(remembered.value))
                for number, remembered in enumerate(self.definition.remember.values())
                for condition in conditions(remembered.on)
            ),
        )

    def _condition(self, trigger: Trigger) -> Guard | bool:
        return True if trigger.when is None else self.table.compiler.guard(trigger.when)

    # -- the parts of a step --

    def _learn(self, record: Record, event: Event, plan: Plan, at: float) -> Record:
        """The record with the facts that the event tells. The stronger wins: failed, then lost, then ready."""
        ready, failed, remembered = record.ready, record.failed, record.remembered
        for rule in plan.dependencies:
            for condition, meaning in rule.meanings:
                if condition is True or condition(record, event):
                    if meaning is READY:
                        ready |= rule.bit
                        failed &= ~rule.bit
                    else:
                        ready &= ~rule.bit
                        if meaning is FAILED:
                            failed |= rule.bit
                    break
        for number, condition, value in plan.remembered:
            if condition is True or condition(record, event):
                told, known = value(record, event), remembered[number]
                if told is not known and told != known:
                    remembered = (*remembered[:number], told, *remembered[number + 1 :])
        if ready == record.ready and failed == record.failed and remembered is record.remembered:
            return record
        return _with_facts(record, ready, failed, remembered, at)

    def _finish(
        self, event: Event, before: Record | None, during: Record, outcome: Outcome, at: float, now: float
    ) -> Step:
        timers, visits = during.timers, during.visits
        if outcome.visits:
            counts = list(visits)
            for number, entered in outcome.visits:
                counts[number] = counts[number] + 1 if entered else 0
            visits = tuple(counts)
        if outcome.disarms and timers:
            timers = tuple([timer for timer in timers if timer.spec.state not in outcome.disarms])
        if outcome.arms:
            identity = during.identity
            connection_id = identity.connection_id
            for spec in outcome.arms:
                delay = spec.usual_s
                if delay is None or identity.timeouts:
                    delay = self._delay(during, visits, spec)
                timers += (new_timer(Timer, (now + delay, next_order(), connection_id, spec)),)
        situation = outcome.situation
        after = _blank(Record)
        after.identity = during.identity
        after.situation = situation
        after.ready = during.ready
        after.failed = during.failed
        after.required = during.required
        after.remembered = during.remembered
        after.visits = visits
        after.timers = timers
        after.updated_at = at
        after.deferred = during.deferred
        if before is None or not outcome.moved:
            after.since = during.since
            after.trail = during.trail
        else:
            after.since = at
            timer = f"{event.field('timer')} of {event.field('state')}" if event.type == TIMER_FIRED else ""
            after.trail = during.trail.then(event.type, timer, situation.phase)
        return Step(event, before, during, after, outcome, self.layout)

    def _delay(self, record: Record, visits: tuple[int, ...], spec: TimerSpec) -> float:
        """Seconds until a timer is due; ``visits`` counts the entry that arms it."""
        delay, backoff = spec.after.delay, spec.after.backoff
        if isinstance(delay, str):
            overridden = (record.identity.timeouts or {}).get(delay)
            delay = self.definition.timeouts[delay] if overridden is None else overridden
        if backoff == 1:
            return delay
        # Beyond so many visits any delay is longer than anybody's patience, and the power would overflow.
        # None, if a state around it was entered again without being left, as python-statemachine may do in one step.
        visit = max(1, visits[self.layout.visit_number[spec.state]])
        repeated = min(visit - 1, MAX_DOUBLINGS)
        return min(delay * backoff**repeated, math.inf if spec.after.max_delay is None else spec.after.max_delay)


new_timer = tuple.__new__  # what NamedTuple would call, without the call around it
# Two records are made for most events, and to fill a blank one costs half of a constructor with so many arguments.
_blank = object.__new__


def _with_facts(record: Record, ready: int, failed: int, remembered: tuple[Any, ...], at: float) -> Record:
    told = _blank(Record)
    told.identity = record.identity
    told.situation = record.situation
    told.ready = ready
    told.failed = failed
    told.required = record.required
    told.remembered = remembered
    told.visits = record.visits
    told.timers = record.timers
    told.since = record.since
    told.updated_at = at
    told.deferred = record.deferred
    told.trail = record.trail
    return told


def _with_deferred(record: Record, deferred: tuple[Event, ...]) -> Record:
    return evolve(record, deferred=deferred)
