"""Expressions made callable: every name becomes a read that phasebus chose, and nothing else is left.

The tree of an :class:`Expression` has passed the allow-list. Here each of its nodes is rebuilt as a node of our own (a
bit test, an index, a literal) and the result is compiled once. No text of a definition is ever compiled.

What an expression reads is fixed while a step runs, except ``In('state')``: that depends on where the chart stands when
the guard is asked. The table therefore compiles a guard once per outcome of its ``In`` tests, with those as literals.
Elsewhere (``when``, what is remembered) ``In`` reads where the connection stands before its step.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from bus.event import Event, payload_field
from statemachines.language.expressions import Expression
from statemachines.table.layout import Layout
from statemachines.table.record import Record

Guard = Callable[[Record, Event], bool]
Value = Callable[[Record, Event], Any]

_NUMBERS = (int, float)


def _numbers(left: Any, right: Any) -> None:
    # Text and lists can be multiplied to any length: arithmetic is for numbers only.
    if not isinstance(left, _NUMBERS) or not isinstance(right, _NUMBERS):
        raise TypeError("arithmetic is for numbers")


def _add(left: Any, right: Any) -> Any:
    _numbers(left, right)
    return left + right


def _subtract(left: Any, right: Any) -> Any:
    _numbers(left, right)
    return left - right


def _multiply(left: Any, right: Any) -> Any:
    _numbers(left, right)
    return left * right


def _divide(left: Any, right: Any) -> Any:
    _numbers(left, right)
    return left / right


def _modulo(left: Any, right: Any) -> Any:
    _numbers(left, right)
    return left % right


def _divide_floor(left: Any, right: Any) -> Any:
    _numbers(left, right)
    return left // right


def _negate(value: Any) -> Any:
    _numbers(value, 0)
    return -value


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.Mod: _modulo,
    ast.FloorDiv: _divide_floor,
}


class Compiler:
    """Compiles the expressions of one definition. ``failures`` counts those that could not be evaluated."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.failures = 0
        self._remembered = {name: number for number, name in enumerate(layout.remembered)}
        self._visited = {layout.ids[state]: number for number, state in enumerate(layout.visited)}
        self._names: dict[str, Any] = {
            "__builtins__": {},
            "Exception": Exception,
            "field": payload_field,
            "dict": dict,
            "negate": _negate,
            "failed": self._failed,
            **{function.__name__: function for function in _OPERATORS.values()},
        }

    def guard(self, expression: Expression, inside: Mapping[str, bool] | None = None) -> Guard | bool:
        """The expression as a test, or the literal outcome if it reads nothing. What cannot be evaluated is false.

        ``inside`` tells the outcome of each ``In`` test; without it, they are read from the record.
        """
        tree, reads = self._rebuild(expression, inside)
        # Not a call of bool: half the cost, and there is one for each guard that is asked.
        test = self._function(ast.UnaryOp(ast.Not(), ast.UnaryOp(ast.Not(), tree)), ast.Constant(False))
        if not reads:
            return bool(test(None, None))
        guard: Guard = test
        return guard

    def value(self, expression: Expression, inside: Mapping[str, bool] | None = None) -> Value:
        """The expression as a value; None if it cannot be evaluated."""
        tree, _ = self._rebuild(expression, inside)
        return self._function(tree, ast.Constant(None))

    def _failed(self) -> None:
        self.failures += 1

    def _rebuild(self, expression: Expression, inside: Mapping[str, bool] | None) -> tuple[ast.expr, bool]:
        rebuilder = _Rebuilder(self.layout, self._remembered, self._visited, inside)
        return rebuilder.visit(expression.tree), rebuilder.reads

    def _function(self, result: ast.expr, otherwise: ast.expr) -> Callable[[Any, Any], Any]:
        module = ast.parse(
            "def evaluate(record, event):\n"
            "    try:\n"
            "        return None\n"
            "    except Exception:\n"
            "        failed()\n"
            "        return None\n"
        )
        function = module.body[0]
        assert isinstance(function, ast.FunctionDef)
        attempt = function.body[0]
        assert isinstance(attempt, ast.Try)
        attempt.body = [ast.Return(result)]
        attempt.handlers[0].body[-1] = ast.Return(otherwise)
        names = dict(self._names)
        exec(compile(ast.fix_missing_locations(module), "<expression>", "exec"), names)  # noqa: S102 - our own tree
        compiled: Callable[[Any, Any], Any] = names["evaluate"]
        return compiled


class _Rebuilder(ast.NodeVisitor):
    """A new tree, in which every name is a read of the record or the event.

    Sees only nodes that the allow-list let through, and changes none of them: an expression is compiled many times.
    """

    def __init__(
        self,
        layout: Layout,
        remembered: Mapping[str, int],
        visited: Mapping[str, int],
        inside: Mapping[str, bool] | None,
    ) -> None:
        self.layout = layout
        self.remembered = remembered
        self.visited = visited
        self.inside = inside
        self.reads = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """The node with its parts made anew."""
        return type(node)(**{name: self._anew(value) for name, value in ast.iter_fields(node)})

    def _anew(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._anew(one) for one in value]
        return self.visit(value) if isinstance(value, ast.AST) else value

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Constant(node.value)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        self.reads = True
        ready, failed, required = (_of("record", name) for name in ("ready", "failed", "required"))
        if node.id == "event":
            return _of("event", "type")
        if node.id == "all_ready":
            return ast.Compare(ast.BinOp(ready, ast.BitAnd(), required), [ast.Eq()], [required])
        if node.id == "any_failed":
            return ast.Compare(ast.BinOp(failed, ast.BitAnd(), required), [ast.NotEq()], [ast.Constant(0)])
        bit = ast.Constant(self.layout.bits[node.id])
        return ast.Compare(ast.BinOp(ready, ast.BitAnd(), bit), [ast.NotEq()], [ast.Constant(0)])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.reads = True
        if isinstance(node.value, ast.Name) and node.value.id == "meta":
            return ast.Subscript(_of("record", "remembered"), ast.Constant(self.remembered[node.attr]), ast.Load())
        if isinstance(node.value, ast.Name) and node.value.id == "visits":
            return ast.Subscript(_of("record", "visits"), ast.Constant(self.visited[node.attr]), ast.Load())
        name = ast.Constant(node.attr)
        if not isinstance(node.value, ast.Name):
            return ast.Call(_name("field"), [self.visit(node.value), name], [])
        # field(event.data, name), with what that does for a plain dictionary, the usual payload, written out.
        data = _of("event", "data")
        is_plain = ast.Compare(ast.Attribute(data, "__class__", ast.Load()), [ast.Is()], [_name("dict")])
        get = ast.Call(ast.Attribute(data, "get", ast.Load()), [name], [])
        return ast.IfExp(is_plain, get, ast.Call(_name("field"), [data, name], []))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        argument = node.args[0]
        assert isinstance(argument, ast.Constant)
        assert isinstance(argument.value, str)
        if self.inside is not None:
            return ast.Constant(self.inside[argument.value])
        self.reads = True
        state = ast.Constant(self.layout.index[argument.value])
        return ast.Compare(state, [ast.In()], [ast.Attribute(_of("record", "situation"), "states", ast.Load())])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        function = _OPERATORS[type(node.op)].__name__
        return ast.Call(_name(function), [self.visit(node.left), self.visit(node.right)], [])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), operand)
        return ast.Call(_name("negate"), [operand], []) if isinstance(node.op, ast.USub) else operand


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _of(name: str, attribute: str) -> ast.Attribute:
    return ast.Attribute(_name(name), attribute, ast.Load())
