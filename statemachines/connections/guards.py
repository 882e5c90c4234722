"""Guards taken apart: which part of one is false for a connection now, and what would make it true."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attrs import frozen

from bus.event import Event
from statemachines.connections.connections import Connections
from statemachines.language.definition import Transition
from statemachines.language.expressions import parse_expression
from statemachines.table.record import Record
from statemachines.table.step import dependency_status

_NOTHING = Event("nothing.happened", id="", timestamp=0.0)
_SUMMARIES = ("all_ready", "any_failed")


@frozen
class ClosedGuard:
    """A guard that does not let a transition be taken.

    :ivar guard: the guard as the file says it
    :ivar because: the parts that decide it, in words
    :ivar reads_event: it depends on an event's payload, so without one nothing can be said
    :ivar is_plain_readiness: it is ``all_ready`` or ``any_failed``, about which the dependencies say more
    """

    guard: str
    because: str
    reads_event: bool
    is_plain_readiness: bool


def closed_guards(connections: Connections, record: Record, transition: Transition) -> list[ClosedGuard]:
    """The guards of a transition that hold it back now. Payloads count as empty."""
    return list(_closed(connections, record, transition))


def _closed(connections: Connections, record: Record, transition: Transition) -> Iterator[ClosedGuard]:
    for guard, wanted in ((transition.cond, True), (transition.unless, False)):
        if guard is None or _holds(connections, record, guard.tree) is wanted:
            continue
        parts = list(_decisive(connections, record, guard.tree, wanted))
        yield ClosedGuard(
            str(guard) if wanted else f"unless {guard}",
            " and ".join(_in_words(connections, record, part, needed) for part, needed in parts),
            reads_event=any(_reads_event(part) for part, _ in parts),
            is_plain_readiness=all(isinstance(part, ast.Name) and part.id in _SUMMARIES for part, _ in parts),
        )


def _decisive(
    connections: Connections, record: Record, tree: ast.expr, wanted: bool
) -> Iterator[tuple[ast.expr, bool]]:
    """The smallest parts that keep a guard from being as wanted, and what each would have to be."""
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        yield from _decisive(connections, record, tree.operand, not wanted)
    elif isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And if wanted else ast.Or):
        for part in tree.values:
            if _holds(connections, record, part) is not wanted:
                yield from _decisive(connections, record, part, wanted)
    else:
        yield tree, wanted


def _holds(connections: Connections, record: Record, tree: ast.expr) -> bool:
    expression = parse_expression(ast.unparse(tree))
    inside = {name: name in record.situation.configuration for name, _ in expression.states}
    compiler = connections.steps.table.compiler
    failures = compiler.failures
    compiled = compiler.guard(expression, inside)
    outcome = compiled if isinstance(compiled, bool) else compiled(record, _NOTHING)
    compiler.failures = failures  # asking why is no evaluation that went wrong
    return outcome


def _in_words(connections: Connections, record: Record, tree: ast.expr, wanted: bool) -> str:
    text = f"`{ast.unparse(tree)}` is {'not true' if wanted else 'true'}"
    details = list(dict.fromkeys(_details(connections, record, tree, wanted)))
    return text + (f" ({', '.join(details)})" if details else "")


def _details(connections: Connections, record: Record, tree: ast.expr, wanted: bool) -> Iterator[str]:
    """What the names in a guard stand for now, and which events change them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in connections.layout.bits:
            yield from _dependency(connections, record, node.id, wanted)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "meta":
            yield _remembered(connections, record, node.attr)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "visits":
            number = connections.layout.visited.index(connections.layout.index[node.attr])
            yield f"visits.{node.attr} is {record.visits[number]}"
    if _reads_event(tree):
        yield "as the payload that came has it"


def _dependency(connections: Connections, record: Record, name: str, wanted: bool) -> Iterator[str]:
    status = dependency_status(record, connections.layout.bits[name])
    dependency = connections.definition.dependencies[name]
    if status != "ready":
        events = " or ".join(dict.fromkeys(trigger.event for trigger in dependency.ready_on))
        yield f"{name} is {status}" + (f" until {events}" if events else ", to be marked ready by hand")
    elif not wanted:
        events = " or ".join(dict.fromkeys(trigger.event for trigger in (*dependency.lost_on, *dependency.failed_on)))
        yield f"{name} is ready" + (f" until {events}" if events else " and cannot be lost")


def _remembered(connections: Connections, record: Record, name: str) -> str:
    value = record.remembered[connections.layout.remembered.index(name)]
    events = " or ".join(dict.fromkeys(trigger.event for trigger in connections.definition.remember[name].on))
    # The value itself may be somebody's phone number.
    return f"meta.{name} is {'not known yet' if value is None else 'another value'}, it is told by {events}"


def _reads_event(tree: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id in ("data", "event") for node in ast.walk(tree))
