"""Guards and values in the words of another interpreter's data model, and which of them may fail there.

In phasebus a guard that cannot be evaluated (``None < 3``) is false. SCXML raises ``error.execution`` instead, for ever
when the guard stands on a transition without event. So an expression that :func:`can_fail` is not written where it is
asked, but evaluated once a step by a block of its own, which fails alone and leaves the variable false.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from copy import deepcopy

from statemachines.errors import CannotExport
from statemachines.language.expressions import Expression

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_REWORDED = re.compile(r"\b(?:true|false|null)\b|===|!==|&&|\|\||&")
"""What python-statemachine rewords inside a guard, text literals included: such a guard is evaluated as a value."""


def can_fail(expression: Expression) -> bool:
    """Whether a plain Python evaluation of the expression may raise, or is read differently as a guard."""
    return any(_fails(node) for node in ast.walk(expression.tree))


def reads_facts(expression: Expression) -> bool:
    """Whether the expression reads what an event may change: dependencies and remembered values."""
    names = {node.id for node in ast.walk(expression.tree) if isinstance(node, ast.Name)}
    return bool(expression.dependencies or expression.meta or names & {"all_ready", "any_failed"})


def _fails(node: ast.AST) -> bool:
    match node:
        case ast.Compare():
            operands = [node.left, *node.comparators]
            return any(isinstance(op, _ORDER) for op in node.ops) and not all(map(_is_number, operands))
        case ast.BinOp(left=left, op=op, right=right):
            if isinstance(op, ast.Div | ast.Mod | ast.FloorDiv) and not _is_divisor(right):
                return True
            return not (_is_number(left) and _is_number(right))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return not _is_number(operand)
        case ast.Constant(value=str() as text):
            return _REWORDED.search(text) is not None
        case ast.Attribute(value=ast.Attribute()):
            return True
    return False


def _is_divisor(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and _is_number(node) and bool(node.value)


def _is_number(node: ast.expr) -> bool:
    """Whether the value is surely a number; a boolean is one."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.Name(id=name):
            return name != "event"
        case ast.Attribute(value=ast.Name(id="visits")) | ast.Compare() | ast.BinOp() | ast.Call():
            return True
        case ast.UnaryOp(op=op, operand=operand):
            return isinstance(op, ast.Not) or _is_number(operand)
        case ast.BoolOp(values=values):
            return all(map(_is_number, values))
    return False


def translate(
    expression: Expression,
    variable: Callable[[str, str], str],
    state_id: Callable[[str], str],
    inside: Mapping[str, bool] | None = None,
) -> str:
    """The expression as Python over a flat data model.

    ``variable`` names what is read, given its kind (``ready meta visits``) and name; ``inside`` answers the ``In``
    tests in advance.

    :raises CannotExport: if it uses what the restricted Python of python-statemachine has no word for
    """
    tree = _Translator(expression, variable, state_id, inside).visit(deepcopy(expression.tree))
    return ast.unparse(ast.fix_missing_locations(tree))


class _Translator(ast.NodeTransformer):
    def __init__(
        self,
        expression: Expression,
        variable: Callable[[str, str], str],
        state_id: Callable[[str], str],
        inside: Mapping[str, bool] | None,
    ) -> None:
        self.expression = expression
        self.variable = variable
        self.state_id = state_id
        self.inside = inside

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "event":
            return ast.Name("event_name")
        return ast.Name(node.id if node.id in ("all_ready", "any_failed") else self.variable("ready", node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        path: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            path.insert(0, inner.attr)
            inner = inner.value
        assert isinstance(inner, ast.Name)
        if inner.id != "data":
            return ast.Name(self.variable(inner.id, path[0]))
        read: ast.expr = ast.Name("event_payload")
        values = [read]
        for name in path:  # a payload that is not there has no fields, and each of them is None
            read = ast.Attribute(read, name)
            values.append(read)
        return ast.BoolOp(ast.And(), values)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        argument = node.args[0]
        assert isinstance(argument, ast.Constant)
        state = str(argument.value)
        if self.inside is not None:
            return ast.Constant(self.inside[state])
        return ast.Call(ast.Name("In"), [ast.Constant(self.state_id(state))], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        # Text can be added and repeated in Python, in phasebus it cannot: subtracting nothing fails for text.
        left, right = (
            self.visit(side) if _is_number(side) else ast.BinOp(self.visit(side), ast.Sub(), ast.Constant(0))
            for side in (node.left, node.right)
        )
        return ast.BinOp(left, node.op, right)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        sides = [node.left, *node.comparators]
        parts = [self._comparison(left, op, right) for left, op, right in zip(sides, node.ops, sides[1:], strict=False)]
        return parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr:
        if isinstance(op, ast.Is | ast.IsNot):
            # The language lets 'is' ask for None, True and False only. That 0 and 1 equal the last two is on the page.
            op = ast.Eq() if isinstance(op, ast.Is) else ast.NotEq()
        if not isinstance(op, ast.In | ast.NotIn):
            return ast.Compare(self.visit(left), [op], [self.visit(right)])
        if not isinstance(right, ast.List | ast.Tuple):
            raise CannotExport(
                f"'in' in \"{self.expression}\" needs a list written out to be known elsewhere, as in x in ['a', 'b']"
            )
        found: list[ast.expr] = [
            ast.Compare(self.visit(deepcopy(left)), [ast.Eq()], [self.visit(item)]) for item in right.elts
        ]
        any_of: ast.expr = ast.BoolOp(ast.Or(), found) if len(found) > 1 else found[0] if found else ast.Constant(False)
        return ast.UnaryOp(ast.Not(), any_of) if isinstance(op, ast.NotIn) else any_of
