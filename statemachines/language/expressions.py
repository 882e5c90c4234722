"""Guards and values: expressions from an allow-list of Python's grammar, parsed and never run as Python text.

An expression is data. It is parsed by :mod:`ast`, held against the allow-list below, and kept as a tree; what runs
later is compiled by ``statemachines.table.compiling`` from that tree, with every name replaced by a read that phasebus
chose. No call but ``In('state')``, no attribute but ``data.*``, ``meta.*`` and ``visits.*``, no underscore name, and no
arithmetic on anything but numbers exists in the grammar, so a definition cannot run code, nor grow a value without
bound.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from attrs import field, frozen

from statemachines.errors import ExpressionError

MAX_LENGTH = 500
MAX_NODES = 200
MAX_DEPTH = 30

_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.FloorDiv)
_UNARY = (ast.Not, ast.USub, ast.UAdd)
_NAMESPACES = ("data", "meta", "visits")
_FIXED_NAMES = ("all_ready", "any_failed", "event")


@frozen
class Expression:
    """A parsed guard or value.

    ``text`` is what the file says; ``dependencies``, ``meta``, ``visits`` and ``states`` (of ``In``) are the names it
    reads, each with its offset in the text, so that a loader can point at a wrong one.
    """

    text: str
    tree: ast.expr = field(eq=False, repr=False)
    dependencies: tuple[tuple[str, int], ...] = field(eq=False, repr=False)
    meta: tuple[tuple[str, int], ...] = field(eq=False, repr=False)
    visits: tuple[tuple[str, int], ...] = field(eq=False, repr=False)
    states: tuple[tuple[str, int], ...] = field(eq=False, repr=False)

    def __str__(self) -> str:
        return self.text


def parse_expression(text: str) -> Expression:
    """Parse ``text``, or raise :class:`ExpressionError` with the offset of what is not allowed.

    >>> parse_expression("a and visits.trying < 3").dependencies
    (('a', 0),)
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH} characters", 0)
    stripped = text.strip()
    if not stripped:
        raise ExpressionError("the expression is empty: write a guard such as all_ready, or remove the key", 0)
    if "\0" in text:
        raise ExpressionError("the expression holds a character that is not allowed", text.index("\0"))
    indent = len(text) - len(text.lstrip())
    tree = _parse(stripped, indent)
    reader = _Reader(stripped, indent)
    reader.read(tree, 0)
    return Expression(
        stripped,
        tree,
        dependencies=tuple(reader.dependencies),
        meta=tuple(reader.meta),
        visits=tuple(reader.visits),
        states=tuple(reader.states),
    )


def _parse(text: str, indent: int) -> ast.expr:
    try:
        with warnings.catch_warnings():  # Python warns of `1 is 1` and '\\d'; here they are refused or harmless
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        # Python reports column 0 for a text that ends before the expression does.
        offset = _character(text, error.lineno or 1, error.offset - 1) if error.offset else len(text)
        what = error.msg if error.offset else "it ends too early"
        raise ExpressionError(f"not an expression: {what}{_cure(text)}", indent + offset) from None
    except (RecursionError, MemoryError):
        raise ExpressionError("the expression is nested too deeply", 0) from None
    except ValueError:
        raise ExpressionError("the expression holds a character that is not allowed", 0) from None


def _character(text: str, line: int, column: int) -> int:
    """The offset of the ``column``-th character of a line, counted from 1."""
    before = text.splitlines(keepends=True)[: line - 1]
    return min(len("".join(before)) + max(column, 0), len(text))


def _cure(text: str) -> str:
    """What people of other languages write, and what it is here."""
    for theirs, ours in (("&&", "and"), ("||", "or"), ("!", "not"), ("=", "==")):
        if theirs in text.replace("!=", "").replace("==", "").replace("<=", "").replace(">=", ""):
            return f" (write '{ours}', not '{theirs}')"
    return ""


class _Reader:
    """Holds a tree against the allow-list and notes the names that it reads."""

    def __init__(self, text: str, indent: int) -> None:
        self.lines = text.splitlines(keepends=True)
        self.text = text
        self.indent = indent
        self.nodes = 0
        self.dependencies: list[tuple[str, int]] = []
        self.meta: list[tuple[str, int]] = []
        self.visits: list[tuple[str, int]] = []
        self.states: list[tuple[str, int]] = []

    def read(self, node: ast.expr, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ExpressionError(f"the expression has more than {MAX_NODES} parts", 0)
        if depth > MAX_DEPTH:
            raise ExpressionError("the expression is nested too deeply", self._offset(node))
        for child in self._children(node):
            self.read(child, depth + 1)

    def _children(self, node: ast.expr) -> Iterator[ast.expr]:
        match node:
            case ast.BoolOp():
                yield from node.values
            case ast.UnaryOp() if isinstance(node.op, _UNARY):
                yield node.operand
            case ast.BinOp() if isinstance(node.op, _ARITHMETIC):
                yield node.left
                yield node.right
            case ast.Compare() if all(isinstance(op, _COMPARISONS) for op in node.ops):
                self._check_identity(node)
                yield node.left
                yield from node.comparators
            case ast.List() | ast.Tuple():
                yield from node.elts
            case ast.Constant() if node.value is None or isinstance(node.value, str | int | float | bool):
                pass
            case ast.Name():
                self._name(node)
            case ast.Attribute():
                self._attribute(node)
            case ast.Call():
                self._call(node)
            case _:
                what = ast.unparse(node) if len(ast.unparse(node)) < 40 else type(node).__name__
                raise ExpressionError(
                    f"'{what}' is not allowed here: an expression may use names, and, or, not, comparisons, in, "
                    "+ - * / % //, literals and In('state')",
                    self._offset(node),
                )

    def _check_identity(self, node: ast.Compare) -> None:
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.Is | ast.IsNot) and not (
                isinstance(right, ast.Constant) and (right.value is None or isinstance(right.value, bool))
            ):
                raise ExpressionError("'is' compares with None, True or False only: use ==", self._offset(node))

    def _name(self, node: ast.Name) -> None:
        if node.id.startswith("_"):
            raise ExpressionError(
                f"'{node.id}': names that begin with an underscore are not allowed", self._offset(node)
            )
        if node.id in _NAMESPACES:
            raise ExpressionError(f"'{node.id}' needs a field, as in {node.id}.name", self._offset(node))
        if node.id == "In":
            raise ExpressionError("In needs a state, as in In('ready')", self._offset(node))
        if node.id not in _FIXED_NAMES:
            self.dependencies.append((node.id, self._offset(node)))

    def _attribute(self, node: ast.Attribute) -> None:
        path: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            path.append(inner.attr)
            inner = inner.value
        if any(name.startswith("_") for name in path):
            raise ExpressionError("names that begin with an underscore are not allowed", self._offset(node))
        if not isinstance(inner, ast.Name) or inner.id not in _NAMESPACES:
            raise ExpressionError("only data, meta and visits have fields", self._offset(node))
        if inner.id != "data" and len(path) > 1:
            raise ExpressionError(f"{inner.id}.{path[-1]} has no fields", self._offset(node))
        if inner.id == "meta":
            self.meta.append((path[0], self._offset(node)))
        elif inner.id == "visits":
            self.visits.append((path[0], self._offset(node)))

    def _call(self, node: ast.Call) -> None:
        argument = node.args[0] if len(node.args) == 1 and not node.keywords else None
        if (
            not isinstance(node.func, ast.Name)
            or node.func.id != "In"
            or not isinstance(argument, ast.Constant)
            or not isinstance(argument.value, str)
        ):
            raise ExpressionError("nothing can be called but In('state')", self._offset(node))
        self.states.append((argument.value, self._offset(argument)))

    def _offset(self, node: ast.expr) -> int:
        # ast counts columns in bytes of UTF-8; people and editors count characters.
        line = self.lines[node.lineno - 1] if node.lineno <= len(self.lines) else ""
        column = len(line.encode()[: node.col_offset].decode("utf-8", "replace"))
        return self.indent + _character(self.text, node.lineno, column)
