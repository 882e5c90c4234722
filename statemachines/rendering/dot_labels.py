"""Text for Graphviz: quoted strings, and its HTML-like labels, into which nothing of a definition can reach as markup.

Everything goes through :func:`quoted` or :func:`text`. Lines are broken here, since Graphviz breaks none.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from statemachines.rendering.signs import UNICODE
from statemachines.rendering.words import Part, Phrase, Role

STATE_WIDTH, EDGE_WIDTH, NOTE_WIDTH = 38, 30, 90
_SMALL = "10"
# Dark enough to be told from white, not needed to be told apart: guards are slanted too, and words say what is what.
_COLOURS: dict[Role, str] = {"event": "#0b3d91", "guard": "#6b3a00", "time": "#6a1b6a", "action": "#1b5e20"}
_LONGEST = 60


def quoted(text: str) -> str:
    r"""A DOT string; Graphviz reads escapes such as ``\N`` in some of them, so each backslash is doubled.

    >>> print(quoted('say "no" \\N'))
    "say \"no\" \\N"
    """
    clean = UNICODE.clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{clean}"'


def text(words: str) -> str:
    """Text inside an HTML-like label; control characters are written as escapes.

    >>> text('<script> & "x"')
    '&lt;script&gt; &amp; &quot;x&quot;'
    """
    return html.escape(UNICODE.clean(words), quote=True)


def bold(words: str, size: int = 13) -> str:
    """A name that is seen first."""
    return f'<font point-size="{size}"><b>{text(words)}</b></font>'


def lines(phrase: Phrase, width: int) -> str:
    """A phrase in lines of about ``width`` characters: a name is broken only if it is longer than any line."""
    rows: list[list[Part]] = [[]]
    used = 0
    for part in _pieces(phrase):
        if used and used + len(part.text.rstrip()) > width:
            rows.append([])
            used = 0
        if used or part.text.strip():
            rows[-1].append(part)
            used += len(part.text)
    return '<br align="left"/>'.join("".join(_merged(row)) for row in rows) + '<br align="left"/>'


def _pieces(phrase: Phrase) -> Iterator[Part]:
    """The phrase in words, each with the space behind it; one that is too long for any line, in parts of it."""
    for part in phrase:
        for word in re.findall(r"\s+|\S+\s*", UNICODE.clean(part.text)):
            yield from (Part(word[at : at + _LONGEST], part.role) for at in range(0, len(word), _LONGEST))


def _merged(row: Iterable[Part]) -> Iterator[str]:
    pending, role = "", None
    for part in row:
        if part.role != role and pending:
            yield _styled(pending, role)
            pending = ""
        pending, role = pending + part.text, part.role
    if pending:
        yield _styled(pending, role)


def _styled(words: str, role: Role | None) -> str:
    escaped = html.escape(words, quote=True)
    if role == "guard":
        escaped = f"<i>{escaped}</i>"
    colour = _COLOURS.get(role) if role else None
    return f'<font color="{colour}">{escaped}</font>' if colour else escaped


def small(markup: str) -> str:
    """What is read second."""
    return f'<font point-size="{_SMALL}">{markup}</font>'


def table(rows: Iterable[str], padding: int = 1) -> str:
    """Rows of markup below each other, as a whole label."""
    cells = "".join(f'<tr><td align="left" balign="left">{row}</td></tr>' for row in rows)
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="{padding}">{cells}</table>>'
