"""Cells side by side, each wrapped to its width: what a table does, a row at a time and without trailing spaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

GAP = 2
NARROWEST = 20


@frozen
class Cell:
    """Paragraphs of text in a column. ``indent`` is that of a paragraph's second and later lines."""

    width: int
    paragraphs: Sequence[Text]
    indent: int = 0

    def lines(self, console: Console) -> Iterator[Text]:
        """The paragraphs, wrapped."""
        for paragraph in self.paragraphs:
            yield from wrapped(paragraph, console, self.width, self.indent)


def side_by_side(console: Console, cells: Sequence[Cell]) -> Iterator[Text]:
    """The lines of a row of cells."""
    for pieces in zip_longest(*(cell.lines(console) for cell in cells)):
        line, column = Text(), 0
        for piece, cell in zip(pieces, cells, strict=True):
            if piece is not None and piece:
                line.append(" " * (column - line.cell_len))
                line.append_text(piece)
            column += cell.width + GAP
        yield line


def wrapped(text: Text, console: Console, width: int, indent: int = 0) -> Iterator[Text]:
    """The lines of a text, the second and later ones indented."""
    if text.cell_len <= width:
        yield text
        return
    indent = indent if width - indent >= NARROWEST else 0
    first, *_ = text.wrap(console, max(width, 1))
    rest = text[len(first) :]
    first.rstrip()
    yield first
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    if not rest:
        return
    for line in rest.wrap(console, max(width - indent, 1)):
        line.rstrip()
        yield Text(" " * indent).append_text(line)


@frozen
class Hanging:
    """A head, and beside it a text that wraps within its own column, which begins at ``column``."""

    head: Text
    body: Text
    column: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Beside each other where there is room, else below each other."""
        rest = options.max_width - self.column
        if rest >= NARROWEST:
            yield from side_by_side(console, [Cell(self.column - GAP, [self.head]), Cell(rest, [self.body], indent=2)])
        else:
            yield from wrapped(self.head, console, options.max_width)
            yield from wrapped(self.body, console, options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it may be."""
        return Measurement(min(NARROWEST, options.max_width), options.max_width)
