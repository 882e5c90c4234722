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
    """An event that changes a fact: a name or pattern, and the condition under which it counts."""

    event: str
    when: Expression | None = None


@frozen
class Dependency:
    """A service that a connection waits for. It is pending until one of its events says otherwise."""

    ready_on: tuple[Trigger, ...] = ()
    lost_on: tuple[Trigger, ...] = ()
    failed_on: tuple[Trigger, ...] = ()
    required: bool = True


@frozen
class Remembered:
    """A fact kept from events and read as ``meta.<name>``: the latest value wins."""

    on: tuple[Trigger, ...]
    value: Expression


@frozen
class Publish:
    """An action: publish ``event`` on the bus. Values of ``data`` are literals, or expressions evaluated in the step.

    Expressions may stand at any depth, inside mappings and lists.
    """

    event: str
    data: Mapping[str, Any] = Factory(dict)


@frozen
class Call:
    """An action: call the hook registered under ``name``."""

    name: str


Action = Publish | Call


@frozen
class Invoke:
    """A coroutine, registered under ``call``, that runs while its state is active and is cancelled when that is left.

    ``done`` is published with what it returned: a mapping as it is, anything else as ``result``. ``failed`` is
    published with its ``error``.
    """

    call: str
    done: str | None = None
    failed: str | None = None


@frozen
class Transition:
    """From the state that holds it to ``target``; with no ``event`` it is taken as soon as its guards hold.

    With no ``target`` it runs ``on`` and nothing else: no exit, no entry, no timer.
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
    """

    id: str
    target: str
    type: Literal["shallow", "deep"] = "shallow"


@frozen
class State:
    """A state, with the states inside it in document order. The children of a ``parallel`` one are its regions.

    ``ignore`` names rules of ``phasebus validate`` that do not apply to it and all inside it, each with the reason.
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
    """What ``phasebus explore`` checks: exactly one of these is set (``within`` goes with ``leads_to``)."""

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
