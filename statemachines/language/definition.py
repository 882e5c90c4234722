"""What a definition says, as attrs classes: the vocabulary of the YAML, and nothing that acts.

The classes follow the file key by key (``docs/language.md`` explains each). Durations are seconds. Expressions are
parsed (:class:`Expression`) but not yet compiled: the table does that, once it knows which bit a dependency has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import Factory, frozen

from statemachines.language.expressions import Expression


@frozen
class Trigger:
    """An event that changes a fact: a name or pattern, and the condition under which it counts.

    :ivar event: an event's name, or a pattern such as webrtc.*
    :ivar when: the condition under which the event counts
    """

    event: str
    when: Expression | None = None


@frozen
class Dependency:
    """A service that a connection waits for. It is pending until one of its events says otherwise.

    :ivar ready_on: the events that make it ready
    :ivar lost_on: the events that make it pending again
    :ivar failed_on: the events that make it failed, until a later ready
    :ivar required: whether a connection needs it that names no dependencies of its own
    """

    ready_on: tuple[Trigger, ...] = ()
    lost_on: tuple[Trigger, ...] = ()
    failed_on: tuple[Trigger, ...] = ()
    required: bool = True


@frozen
class Remembered:
    """A fact kept from events and read as ``meta.<name>``: the latest value wins.

    :ivar on: the events that it is kept from
    :ivar value: what is kept, as in data.phone_number
    """

    on: tuple[Trigger, ...]
    value: Expression


@frozen
class Publish:
    """An action: publish ``event`` on the bus. Values of ``data`` are literals, or expressions evaluated in the step.

    Expressions may stand at any depth, inside mappings and lists.

    :ivar event: the full name of the event
    :ivar data: the event's payload; {expr: …} in it is evaluated, all else is literal
    """

    event: str
    data: Mapping[str, Any] = Factory(dict)


@frozen
class Call:
    """An action: call the hook registered under ``name``.

    :ivar name: the name of the hook
    """

    name: str


Action = Publish | Call


@frozen
class Invoke:
    """A coroutine, registered under ``call``, that runs while its state is active and is cancelled when that is left.

    ``done`` is published with what it returned: a mapping as it is, anything else as ``result``. ``failed`` is
    published with its ``error``.

    :ivar call: the name that the coroutine is registered under
    :ivar done: the event that is published when it returns
    :ivar failed: the event that is published when it raises
    """

    call: str
    done: str | None = None
    failed: str | None = None


@frozen
class Transition:
    """From the state that holds it to ``target``; with no ``event`` it is taken as soon as its guards hold.

    With no ``target`` it runs ``on`` and nothing else: no exit, no entry, no timer.

    :ivar event: the events that it is taken on; without one it is taken as soon as it holds
    :ivar target: the state or history that it leads to; without one it runs its actions and nothing else
    :ivar cond: it is taken only if this holds
    :ivar unless: it is taken only if this does not hold
    :ivar internal: whether the state is not left on the way to a state inside it
    :ivar on: the actions on the way
    """

    event: tuple[str, ...] = ()
    target: str | None = None
    cond: Expression | None = None
    unless: Expression | None = None
    internal: bool = False
    on: tuple[Action, ...] = ()


@frozen
class After:
    """A timer that lives while its state is active.

    ``delay`` is seconds, or the name of one of the definition's ``timeouts``; ``written`` is how the file says it. Each
    further visit of the state, counted as :attr:`Expression.visits <.Expression>` counts, multiplies the delay by
    ``backoff``, up to ``max_delay`` seconds.

    :ivar delay: seconds, or the name of a timeout
    :ivar written: how the file says it
    :ivar transition: what happens then
    :ivar backoff: multiplies the delay at each further visit
    :ivar max_delay: seconds that the delay does not exceed
    """

    delay: float | str
    written: str
    transition: Transition
    backoff: float = 1.0
    max_delay: float | None = None


@frozen
class History:
    """A target that leads back to where its state was when it was last left.

    ``shallow`` brings back the child that was active, ``deep`` everything inside. If the state has not been left yet,
    it leads to ``target``.

    :ivar id: its name, for a target
    :ivar target: where it leads the first time
    :ivar type: shallow for the child that was active, deep for everything inside
    """

    id: str
    target: str
    type: Literal["shallow", "deep"] = "shallow"


@frozen
class State:
    """A state, with the states inside it in document order. The children of a ``parallel`` one are its regions.

    :ivar id: its name, unique in the whole chart
    :ivar initial: whether the state around it, or the chart, begins here
    :ivar final: whether this is an end
    :ivar parallel: whether the states inside are regions, all active at once
    :ivar enter: the actions when it is entered
    :ivar exit: the actions when it is left
    :ivar transitions: the ways out of it, the first that is enabled wins
    :ivar after: its timers: a duration, or the name of a timeout, to a target or a transition
    :ivar states: the states inside it
    :ivar history: the targets that lead back to where it was when it was left
    :ivar defer: the events that wait for another state if none takes them here
    :ivar invoke: the coroutines that run while it is active
    :ivar ignore: rules of phasebus validate that do not apply to it and all inside it, each with the reason
    """

    id: str
    initial: bool = False
    final: bool = False
    parallel: bool = False
    enter: tuple[Action, ...] = ()
    exit: tuple[Action, ...] = ()
    transitions: tuple[Transition, ...] = ()
    after: tuple[After, ...] = ()
    states: tuple[State, ...] = ()
    history: tuple[History, ...] = ()
    defer: tuple[str, ...] = ()
    invoke: tuple[Invoke, ...] = ()
    ignore: Mapping[str, str] = Factory(dict)

    def walk(self) -> Iterator[State]:
        """This state and all inside it, in document order."""
        yield self
        for child in self.states:
            yield from child.walk()


@frozen
class Property:
    """What ``phasebus explore`` checks: exactly one of these is set (``within`` goes with ``leads_to``).

    :ivar always: holds in every configuration
    :ivar never: holds in no configuration
    :ivar sometimes: holds in one configuration at least, which bears witness
    :ivar always_reachable: the state that can be reached from everywhere
    :ivar leads_to: two conditions: after the first one, the second holds sooner or later
    :ivar within: how long leads_to may take
    :ivar closes: actions by the actions that must come first: on every way to an end, each first has its second
    """

    always: Expression | None = None
    never: Expression | None = None
    sometimes: Expression | None = None
    always_reachable: str | None = None
    leads_to: tuple[Expression, Expression] | None = None
    within: float | None = None
    closes: Mapping[str, str] | None = None


@frozen
class Definition:
    """A whole lifecycle definition, checked: made by :func:`~statemachines.load_definition`, immutable.

    Of ``examples`` this package knows only that each is a mapping or a path: scenarios are ``simulation``'s to read.

    :ivar name: what it is called
    :ivar states: its states by name, each with its transitions
    :ivar version: counts its revisions, from 1
    :ivar description: one sentence for people
    :ivar starts_on: the events that register a connection not yet known
    :ivar retain: how long a finished connection stays queryable
    :ivar early: how long events for a connection not yet registered wait for it; 0s: not at all
    :ivar timeouts: durations by name; a registration may override them for one connection
    :ivar dependencies: the services that a connection waits for, each pending, ready or failed
    :ivar remember: the facts kept from events, read as meta.NAME
    :ivar keys: what outsiders know a connection by, beside its id and call_id
    :ivar properties: what must hold, checked by phasebus explore
    :ivar ignore: rules of phasebus validate that do not apply to this file, each with the reason
    :ivar examples: scenarios by name, or paths of scenario files, checked with the definition
    """

    name: str
    states: tuple[State, ...]
    version: int = 1
    description: str = ""
    starts_on: tuple[Trigger, ...] = ()
    retain: float = 5.0
    early: float = 5.0
    timeouts: Mapping[str, float] = Factory(dict)
    dependencies: Mapping[str, Dependency] = Factory(dict)
    remember: Mapping[str, Remembered] = Factory(dict)
    keys: Mapping[str, Remembered] = Factory(dict)
    properties: Mapping[str, Property] = Factory(dict)
    ignore: Mapping[str, str] = Factory(dict)
    examples: Mapping[str, Any] = Factory(dict)

    def walk(self) -> Iterator[State]:
        """All states in document order."""
        for state in self.states:
            yield from state.walk()

    def actions(self) -> Iterator[Action]:
        """Every action: of states, of transitions and of timers."""
        for state in self.walk():
            yield from (*state.enter, *state.exit)
            for transition in (*state.transitions, *(after.transition for after in state.after)):
                yield from transition.on

    def histories(self) -> Iterator[tuple[State, History]]:
        """Every history with the state it is of, in document order."""
        for state in self.walk():
            for history in state.history:
                yield state, history

    def parents(self) -> dict[str, str | None]:
        """Each state's id with the id of the state around it, in document order."""
        found: dict[str, str | None] = {}

        def visit(state: State, parent: str | None) -> None:
            found[state.id] = parent
            for child in state.states:
                visit(child, state.id)

        for state in self.states:
            visit(state, None)
        return found
