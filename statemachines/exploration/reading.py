"""What expressions read, and which facts matter at all.

A fact that no guard, no property and no fact that matters ever reads cannot change what happens: it is left out of a
case (the *cone of influence*; Clarke, Grumberg and Peled, Model Checking, 6.1). Without that a definition with eight
optional dependencies would have 256 times as many cases, all doing the same.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator

from attrs import frozen

from bus.names import matches
from statemachines.language.definition import Action, After, Definition, Dependency, Publish, Trigger
from statemachines.language.expressions import Expression
from statemachines.table.layout import Layout, expressions_in
from statemachines.table.step import MAX_DOUBLINGS

NAMESPACES = ("data", "meta", "visits")
DEPENDENCIES = "dependencies"
"""The field by which an event that begins a connection says what that requires."""


@frozen
class Reads:
    """The facts that some expressions read: dependencies as bits, the rest as the layout's numbers.

    ``inside`` tells whether they ask ``In('state')``.
    """

    dependencies: int = 0
    remembered: frozenset[int] = frozenset()
    visits: frozenset[int] = frozenset()
    inside: bool = False

    def __or__(self, other: Reads) -> Reads:
        return Reads(
            self.dependencies | other.dependencies,
            self.remembered | other.remembered,
            self.visits | other.visits,
            self.inside or other.inside,
        )

    def __and__(self, other: Reads) -> Reads:
        return Reads(
            self.dependencies & other.dependencies,
            self.remembered & other.remembered,
            self.visits & other.visits,
            self.inside,
        )


class Reader:
    """Tells what expressions of one definition read, for connections that require the same dependencies."""

    def __init__(self, layout: Layout, required: int) -> None:
        self.layout = layout
        self.required = required
        self._remembered = {name: number for number, name in enumerate(layout.remembered)}

    def reads(self, expressions: Iterable[Expression]) -> Reads:
        """All that these read."""
        found = Reads()
        for expression in expressions:
            found |= self._one(expression)
        return found

    def _one(self, expression: Expression) -> Reads:
        names = {node.id for node in ast.walk(expression.tree) if isinstance(node, ast.Name)}
        bits = sum({self.layout.bits[name] for name, _ in expression.dependencies})
        if names & {"all_ready", "any_failed"}:
            bits |= self.required
        return Reads(
            bits,
            frozenset(self._remembered[name] for name, _ in expression.meta),
            frozenset(self.layout.visit_number[self.layout.index[name]] for name, _ in expression.visits),
            bool(expression.states),
        )


def guards_of(layout: Layout, *, eventless: bool = False) -> Iterator[Expression]:
    """The guards of all transitions, or of those that wait for no event from outside."""
    for state in layout.states:
        for transition in state.transitions:
            if not eventless or not transition.event or layout.done_of(transition):
                yield from conditions(transition.cond, transition.unless)
        if not eventless:
            for after in state.after:
                yield from conditions(after.transition.cond, after.transition.unless)


def conditions(*guards: Expression | None) -> Iterator[Expression]:
    """Those of the guards that there are."""
    return (guard for guard in guards if guard is not None)


def triggers_of(dependency: Dependency) -> tuple[Trigger, ...]:
    """All the events that change a dependency."""
    return (*dependency.ready_on, *dependency.lost_on, *dependency.failed_on)


def fields_read(expressions: Iterable[Expression]) -> set[tuple[str, ...]]:
    """The fields of the payload that some expressions read, each as its path: ``data.a.b`` is ``('a', 'b')``."""
    return {path for expression in expressions for path in _paths(expression.tree)}


def _paths(tree: ast.expr) -> Iterator[tuple[str, ...]]:
    path = path_of(tree)
    if path is not None and path[0] == "data":
        yield path[1:]
        return
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr):
            yield from _paths(child)


def path_of(tree: ast.expr) -> tuple[str, ...] | None:
    """``data.a.b`` as ``('data', 'a', 'b')``; None for anything but a name with fields."""
    path: list[str] = []
    while isinstance(tree, ast.Attribute):
        path.append(tree.attr)
        tree = tree.value
    if not path or not isinstance(tree, ast.Name) or tree.id not in NAMESPACES:
        return None
    return (tree.id, *reversed(path))


def _everything(layout: Layout) -> Iterator[Expression]:
    definition = layout.definition
    yield from guards_of(layout)
    for dependency in definition.dependencies.values():
        yield from conditions(*(trigger.when for trigger in triggers_of(dependency)))
    for known in definition.remember.values():
        yield known.value
        yield from conditions(*(trigger.when for trigger in known.on))
    for action in definition.actions():
        if isinstance(action, Publish):
            yield from expressions_in(action.data)


def reads_event(tree: ast.expr) -> bool:
    """Whether an expression reads the event: its payload or its name."""
    return any(isinstance(node, ast.Name) and node.id in ("data", "event") for node in ast.walk(tree))


class Relevance:
    """Which facts, and which fields of which events, can change what happens.

    :param judged: the expressions of the properties
    :param others: the definitions that share the bus, and hear what this one publishes
    :param begun: what begins a connection of any of them is looked at too
    """

    def __init__(
        self,
        layout: Layout,
        required: int,
        judged: Iterable[Expression],
        others: Iterable[Layout] = (),
        *,
        begun: bool = False,
    ) -> None:
        self.layout = layout
        self._listening = (layout, *others)
        self.judged = tuple(judged)
        self.reader = Reader(layout, required)
        self._definition = layout.definition
        self.fields = {path[0] for one in self._listening for path in fields_read(_everything(one))}
        """The fields of payloads that are read anywhere."""
        self.begun = begun
        if begun:
            begins = [trigger for one in self._listening for trigger in one.definition.starts_on]
            self.fields |= {path[0] for path in fields_read(conditions(*(trigger.when for trigger in begins)))}
            self.fields |= {DEPENDENCIES} if begins else set()
        self.facts = self._closed(self.reader.reads([*guards_of(layout), *self.judged]) | self._backoffs())

    def hears(self, event_type: str) -> bool:
        """Whether a definition on the bus names such an event."""
        return any(layout.is_named(event_type) for layout in self._listening)

    def others_hear(self, event_type: str) -> bool:
        """Whether another definition on the bus names such an event."""
        return any(layout.is_named(event_type) for layout in self._listening[1:])

    def told_by(self, event_type: str) -> Reads:
        """The facts that matter and that an event of this type may change."""
        bits = sum(
            self.layout.bits[name]
            for name, dependency in self._definition.dependencies.items()
            if any(matches(trigger.event, event_type) for trigger in triggers_of(dependency))
        )
        remembered = frozenset(
            number
            for number, known in enumerate(self._definition.remember.values())
            if any(matches(trigger.event, event_type) for trigger in known.on)
        )
        return Reads(bits, remembered) & self.facts

    def learning(self, event_type: str | None = None) -> Iterator[tuple[Expression, bool]]:
        """The conditions and values by which an event changes the facts that matter; values with True.

        Without a type those of every event.
        """
        facts = self.facts
        for name, dependency in self._definition.dependencies.items():
            if facts.dependencies & self.layout.bits[name]:
                for trigger in triggers_of(dependency):
                    if trigger.when is not None and (event_type is None or matches(trigger.event, event_type)):
                        yield trigger.when, False
        for number, known in enumerate(self._definition.remember.values()):
            triggers = [t for t in known.on if event_type is None or matches(t.event, event_type)]
            if number in facts.remembered and triggers:
                yield known.value, True
                yield from ((trigger.when, False) for trigger in triggers if trigger.when is not None)

    def made_of(self) -> Iterator[tuple[Reads, list[Expression]]]:
        """Each fact that matters, and the expressions that events make it of, their conditions included."""
        for name, dependency in self._definition.dependencies.items():
            whens = [trigger.when for trigger in triggers_of(dependency)]
            yield Reads(self.layout.bits[name]) & self.facts, list(conditions(*whens))
        for number, known in enumerate(self._definition.remember.values()):
            whens = [trigger.when for trigger in known.on]
            yield Reads(remembered=frozenset([number])) & self.facts, [known.value, *conditions(*whens)]

    def heard_data(self) -> Iterator[Expression]:
        """What the definition puts into events of its own that it hears itself, as far as it reads it there."""
        for action in self._definition.actions():
            yield from self.heard_of(action)

    def heard_of(self, action: Action) -> Iterator[Expression]:
        """The same of one action."""
        if isinstance(action, Publish) and self.hears(action.event):
            for name, value in action.data.items():
                if name in self.fields:
                    yield from expressions_in(value)

    def asked(self) -> Iterator[tuple[Expression, bool]]:
        """Every expression that is ever asked about facts that matter; those whose value is kept with True."""
        yield from ((expression, False) for expression in [*guards_of(self.layout), *self.judged])
        yield from self.learning()
        yield from ((expression, True) for expression in self.heard_data())

    def asked_on(self, event_type: str) -> Iterator[tuple[Expression, bool]]:
        """Every expression that can be asked in a step of such an event; those whose value is kept with True."""
        event_class = self.layout.event_class(event_type)
        yield from ((expression, False) for expression in self.beginning(event_type))
        yield from self.learning(event_type)
        yield from ((expression, True) for expression in self.heard_data())
        for state in self.layout.states:
            for transition in state.transitions:
                if (
                    not transition.event
                    or self.layout.done_of(transition)
                    or event_class in self.layout.classes_of(transition)
                ):
                    yield from ((guard, False) for guard in conditions(transition.cond, transition.unless))

    def beginning(self, event_type: str | None = None) -> Iterator[Expression]:
        """The conditions under which an event begins a connection; without a type those of every event."""
        for trigger in self._definition.starts_on if self.begun else ():
            if trigger.when is not None and (event_type is None or matches(trigger.event, event_type)):
                yield trigger.when

    def _backoffs(self) -> Reads:
        """A delay that grows with the visits reads them."""
        return Reads(
            visits=frozenset(
                self.layout.visit_number[number]
                for number, state in enumerate(self.layout.states)
                if any(after.backoff != 1 for after in state.after)
            )
        )

    def _closed(self, roots: Reads) -> Reads:
        """These facts, and whatever they are made of."""
        self.facts = roots
        while True:
            expressions = [*(expression for expression, _ in self.learning()), *self.heard_data()]
            larger = self.facts | self.reader.reads(expressions)
            if larger == self.facts:
                return larger
            self.facts = larger

    def most_visits(self, number: int) -> int | None:
        """The count of visits beyond which one more changes nothing; None if there is none."""
        state = self.layout.visited[number]
        name = self.layout.ids[state]
        learning = list(self.learning())
        kept = [*(expression for expression, is_value in learning if is_value), *self.heard_data()]
        if any(name == read for expression in kept for read, _ in expression.visits):
            return None
        asked = [expression for expression, is_value in learning if not is_value]
        limits: list[int | None] = [
            _largest_delay(after, self._definition) for after in self.layout.states[state].after
        ]
        for expression in [*guards_of(self.layout), *self.judged, *asked]:
            if any(name == read for read, _ in expression.visits):
                limits.append(_largest_compared(expression.tree, name))
        return None if None in limits else max((limit for limit in limits if limit is not None), default=0) + 1

    def left_out(self) -> list[str]:
        """The names of the facts that nothing reads."""
        names = [name for name, bit in self.layout.bits.items() if not self.facts.dependencies & bit]
        return names + [
            f"meta.{name}"
            for number, name in enumerate(self.layout.remembered)
            if number not in self.facts.remembered and self._definition.remember[name].on
        ]


def _largest_delay(after: After, definition: Definition) -> int:
    """The visits after which a timer's delay grows no more."""
    if after.backoff == 1:
        return 0
    delay = definition.timeouts[after.delay] if isinstance(after.delay, str) else after.delay
    if after.max_delay is None or isinstance(after.delay, str):  # a registration may name a shorter one
        return MAX_DOUBLINGS + 1
    return min(MAX_DOUBLINGS, math.ceil(math.log(max(1.0, after.max_delay / delay), after.backoff)) + 1) + 1


def _largest_compared(tree: ast.expr, name: str) -> int | None:
    """The largest number that ``visits.<name>`` is compared with; None if anything else is done with it."""
    path = ("visits", name)
    if path_of(tree) == path:
        return 0  # by itself: whether there were any
    if isinstance(tree, ast.Compare):
        sides = [tree.left, *tree.comparators]
        if not any(path_of(node) == path for side in sides for node in ast.walk(side) if isinstance(node, ast.expr)):
            return 0
        numbers = [_number(side) for side in sides if path_of(side) != path]
        return None if None in numbers else max((number for number in numbers if number is not None), default=0)
    if isinstance(tree, ast.BoolOp | ast.UnaryOp) and not isinstance(getattr(tree, "op", None), ast.USub | ast.UAdd):
        parts = [_largest_compared(child, name) for child in ast.iter_child_nodes(tree) if isinstance(child, ast.expr)]
        return None if None in parts else max((part for part in parts if part is not None), default=0)
    reads = any(path_of(node) == path for node in ast.walk(tree) if isinstance(node, ast.expr))
    return None if reads else 0


def _number(tree: ast.expr) -> int | None:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
        return max(0, math.ceil(tree.value))
    if isinstance(tree, ast.List | ast.Tuple):
        numbers = [_number(part) for part in tree.elts]
        return None if None in numbers else max((number for number in numbers if number is not None), default=0)
    return None
