"""The grammar of guards and values: what is read, what is refused, and where."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.errors import ExpressionError
from statemachines.language import parse_expression


@pytest.mark.parametrize(
    "text",
    [
        "all_ready",
        "not any_failed",
        "a or b and not c",
        "a + b + c >= 2",
        "data.kind == 'audio'",
        "data.ice.state in ['disconnected', 'failed']",
        "data.kind not in ('a', 'b')",
        "visits.waiting < 3",
        "1 < data.x <= 10",
        "meta.caller is not None",
        "event == 'call.ended'",
        "In('ready') or In('gone')",
        "-data.x * 2 + 7 // 3 - 1 % 2 / 5",
        "True",
        "(a\n  or b)",
    ],
)
def test_allowed_expression_is_read(text: str) -> None:
    assert parse_expression(text).text == text


def test_names_are_noted_with_their_offsets() -> None:
    found = parse_expression("a and meta.who and visits.b > 1 and In('c')")
    assert (found.dependencies, found.meta, found.visits, found.states) == (
        (("a", 0),),
        (("who", 6),),
        (("b", 19),),
        (("c", 39),),
    )


def test_offsets_count_characters_and_not_bytes() -> None:
    assert parse_expression("'äöü€' in data.x and voice").dependencies == (("voice", 21),)


def test_offsets_count_across_lines_and_the_space_before() -> None:
    assert parse_expression("  (a\n or b)").dependencies == (("a", 3), ("b", 9))


def test_fixed_names_are_no_dependencies() -> None:
    assert parse_expression("all_ready or any_failed or event == 'x'").dependencies == ()


@pytest.mark.parametrize(
    ("text", "offset", "fragment"),
    [
        ("", 0, "the expression is empty"),
        ("   ", 0, "the expression is empty"),
        ("a and", 5, "ends too early"),
        ("a b", 2, "not an expression"),
        ("a && b", 3, "write 'and'"),
        ("a || b", 3, "write 'or'"),
        ("!a", 0, "write 'not'"),
        ("data.x = 5", 7, "write '=='"),
        ("a and open('x')", 6, "nothing can be called"),
        ("In(data.x)", 0, "nothing can be called but In('state')"),
        ("In('a', 'b')", 0, "nothing can be called but In('state')"),
        ("In", 0, "In needs a state"),
        ("data", 0, "needs a field, as in data.name"),
        ("_x", 0, "underscore"),
        ("data._x", 0, "underscore"),
        ("data.__class__.x", 0, "underscore"),
        ("visits.a.b", 0, "has no fields"),
        ("'x'.upper", 0, "only data, meta and visits have fields"),
        ("a is b", 0, "use =="),
        ("2 ** 9", 0, "is not allowed here"),
        ("1 << 9", 0, "is not allowed here"),
        ("~a", 0, "is not allowed here"),
        ("a if b else c", 0, "is not allowed here"),
        ("[x for x in a]", 0, "is not allowed here"),
        ("{'a': 1}", 0, "is not allowed here"),
        ("{1, 2}", 0, "is not allowed here"),
        ("a == {**b}", 5, "is not allowed here"),
        ("[*a]", 1, "is not allowed here"),
        ("lambda: 1", 0, "is not allowed here"),
        ("f'{a}'", 0, "is not allowed here"),
        ("b'x'", 0, "is not allowed here"),
        ("1j", 0, "is not allowed here"),
        ("...", 0, "is not allowed here"),
        ("data.x[0]", 0, "is not allowed here"),
        ("(a := 1)", 1, "is not allowed here"),
        ("(yield)", 1, "is not allowed here"),
        ("await a", 0, "is not allowed here"),
        ("a; b", 1, "not an expression"),
        ("import os", 0, "not an expression"),
        ("a\0b", 1, "character that is not allowed"),
        ("a or " * 110 + "a", 0, "longer than 500 characters"),
        ("[" + "1," * 220 + "]", 0, "more than 200 parts"),
        ("-" * 60 + "1", 31, "nested too deeply"),
    ],
)
def test_refused_expression_says_where_and_why(text: str, offset: int, fragment: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert fragment in caught.value.message
    assert caught.value.offset == offset


def test_same_text_is_the_same_expression() -> None:
    assert parse_expression("a or b") == parse_expression(" a or b ")


ALLOWED = (
    ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare | ast.List | ast.Tuple | ast.Constant | ast.Name | ast.Attribute
)


@given(st.text(alphabet="ab_. ()[]{}'\"<>=!+-*/%,:@&|~^\\\n0123inotdrae", max_size=40) | st.text(max_size=40))
def test_any_text_is_an_allowed_expression_or_refused_inside_itself(text: str) -> None:
    try:
        found = parse_expression(text)
    except ExpressionError as error:
        assert 0 <= error.offset <= len(text)  # noqa: PT017  (either answer is fine)
        return
    for node in ast.walk(found.tree):
        if isinstance(node, ast.expr) and not isinstance(node, ALLOWED):
            assert isinstance(node, ast.Call)
            assert isinstance(node.func, ast.Name)
            assert node.func.id == "In"
        if isinstance(node, ast.Name | ast.Attribute):
            assert not (node.id if isinstance(node, ast.Name) else node.attr).startswith("_")
