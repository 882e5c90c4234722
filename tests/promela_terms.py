"""Expressions of definitions, said in Promela.

What is asked has a variable: each dependency (0 pending, 1 ready, 2 failed), ``visits``, ``kept``, ``n`` of the
payload, ``what`` event it is, and the situation that the connection is ``at``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from attrs import frozen

from tests.exploration_helpers import EVERY_EVENT
from tests.promela_rows import Rows

NONE = 255
"""Stands for None, which no number in these charts is."""


@frozen
class Term:
    """An expression in Promela, and when it cannot be evaluated; ``fails`` is empty if it always can."""

    value: str
    fails: str = ""
    may_be_none: bool = False

    def holds(self) -> str:
        """What cannot be evaluated is false."""
        return f"({self.value} && !{self.fails})" if self.fails else self.value


def either(*conditions: str) -> str:
    wanted = [condition for condition in conditions if condition]
    return f"({' || '.join(wanted)})" if wanted else ""


def every(*conditions: str) -> str:
    return f"({' && '.join(conditions)})" if conditions else "1"


_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class Terms:
    """Says expressions in Promela. ``inside`` tells the outcomes of ``In`` tests; else they ask where ``at`` is."""

    def __init__(self, rows: Rows, inside: Mapping[str, bool] | None = None) -> None:
        self.rows, self.inside = rows, inside

    def of(self, node: ast.expr) -> Term:
        """An expression, or a part of one."""
        match node:
            case ast.Constant(value=str() as text):
                return Term(str(EVERY_EVENT.index(text)))
            case ast.Constant(value=number):
                return Term(str(int(number)))  # type: ignore[arg-type]
            case ast.Name(id=name):
                return Term(self._name(name))
            case ast.Attribute(value=ast.Name(id="visits"), attr=name):
                return Term(f"visits[{self.rows.layout.visit_number[self.rows.layout.index[name]]}]")
            case ast.Attribute(value=ast.Name(id=owner)):
                return Term({"data": "n", "meta": "kept"}[owner], may_be_none=True)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                term = self.of(operand)
                return Term(f"!({term.value})", term.fails)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                terms = self.of(left), self.of(right)
                return Term(f"({terms[0].value} + {terms[1].value})", either(*(term.fails for term in terms)))
            case ast.BoolOp(op=op, values=parts):
                return self._joined([self.of(part) for part in parts], isinstance(op, ast.And))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._compared(self.of(left), op, self.of(right))
            case ast.Call(args=[ast.Constant(value=str() as state)]):
                return Term(self._is_in(state))
        raise NotImplementedError(ast.dump(node))

    def _name(self, name: str) -> str:
        layout = self.rows.layout
        required = [one for one, bit in layout.bits.items() if bit & layout.required_by_default]
        if name == "event":
            return "what"
        if name == "all_ready":
            return every(*(f"{one} == 1" for one in required))
        if name == "any_failed":
            return either(*(f"{one} == 2" for one in required)) or "0"
        return f"({name} == 1)"

    def _is_in(self, state: str) -> str:
        if self.inside is not None:
            return str(int(self.inside[state]))
        found = [number for number, one in enumerate(self.rows.situations) if state in one.configuration]
        return either(*(f"at == {number}" for number in found)) or "0"

    @staticmethod
    def _joined(terms: list[Term], conjunction: bool) -> Term:
        """``and``, ``or``: what comes later is evaluated only where what came before did not decide."""
        term, *others = terms
        for other in others:
            if conjunction:
                fails = f"({term.value} && {other.fails})" if other.fails else ""
                term = Term(f"({term.value} && {other.value})", either(term.fails, fails))
            else:
                fails = f"(!({term.value}) && {other.fails})" if other.fails else ""
                term = Term(f"({term.value} || {other.value})", either(term.fails, fails))
        return term

    @staticmethod
    def _compared(left: Term, op: ast.cmpop, right: Term) -> Term:
        ordered = not isinstance(op, ast.Eq | ast.NotEq)
        missing = [f"({term.value} == {NONE})" for term in (left, right) if ordered and term.may_be_none]
        return Term(f"({left.value} {_COMPARISONS[type(op)]} {right.value})", either(left.fails, right.fails, *missing))
