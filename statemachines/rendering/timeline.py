"""A timeline for people: what came, and what it did, row by row as it happens.

A row begins with an event, a timer or a registration. Beside it, or below it where the terminal is narrow, stand the
facts that changed, the phase, what was published and called, and what is still awaited. Phone numbers and names stay
hidden unless asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from statemachines.connections.trace import Entry
from statemachines.rendering.columns import GAP, Cell, side_by_side
from statemachines.rendering.payloads import Payloads
from statemachines.rendering.rows import Group, Row
from statemachines.rendering.signs import signs_for

_TIME_WIDTH = 9
_CONNECTION_WIDTHS = (12, 18)
_WIDE = 110
_MOST_CONNECTIONS = 40


class Timeline:
    """Prints entries as they come.

    :param awaited: the names of the dependencies that a connection still waits for
    :param show_payloads: show payloads whole, personal data too
    """

    def __init__(
        self, console: Console, awaited: Callable[[str], Sequence[str]] | None = None, *, show_payloads: bool = False
    ) -> None:
        self._console = console
        self._awaited = awaited or (lambda connection_id: ())
        self._signs = signs_for(console.options)
        self._row = Row(self._signs, Payloads(self._signs, show=show_payloads))
        self._group: Group | None = None
        self._published: Counter[str] = Counter()
        self._expectations = 0
        self._connection_width = 0

    def add(self, entry: Entry) -> None:
        """Tell of one more thing. A row is printed when the next one begins, at :meth:`flush`, or at the end."""
        if entry.kind == "publish":
            self._published[str(entry.details["type"])] += 1
        if self._group is not None and self._group.takes(entry):
            self._group.entries.append(entry)
        else:
            self.flush()
            self._group = Group([entry])
        # Asked now: by the time the row is printed, the connection has moved on.
        self._group.awaited = self._awaited(entry.connection) if entry.connection is not None else ()
        if entry.kind == "expect":
            self._expectations += 1
            self.flush()

    def flush(self) -> None:
        """Print the row that was begun: call it when nothing more follows for now."""
        group, self._group = self._group, None
        if group is None:
            return
        self._print(group)

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """Print the last row, and the summary if there is one."""
        self.flush()
        if summary is not None:
            self._print_summary(summary)
        elif self._published:
            self._console.print()
            self._print_line(self._counts(self._published))

    def _print(self, group: Group) -> None:
        """A row: the cause at the left and its effects at the right, or below it where there is no room."""
        wide = self._console.width >= _WIDE
        cells = self._beginning(group.first, _CONNECTION_WIDTHS[wide])
        room = max(self._console.width - sum(cell.width + GAP for cell in cells), 1)
        left = room * 2 // 5 if wide else room
        if group.first.kind == "expect":
            cause, effects = [], list(self._row.expectation(group.first))
        else:
            cause, effects = self._row.cause(group, left), self._row.effects(group)
            if not effects and group.first.kind not in ("event", "timer"):
                return
        if wide:
            cells += [Cell(left, cause, 2), Cell(room - left - GAP, effects, 2)]
        else:
            inner = 2 if cause else 0
            cells.append(Cell(room, [*cause, *(_indented(text, inner) for text in effects)], 2 + inner))
        for line in side_by_side(self._console, cells):
            self._print_line(line)

    def _beginning(self, first: Entry, width: int) -> list[Cell]:
        name = self._shortened(self._signs.clean(first.connection or "-"), width)
        self._connection_width = max(self._connection_width, len(name))
        return [
            Cell(_TIME_WIDTH, [Text(f"+{first.at:.3f}s", "dim")]),
            Cell(self._connection_width, [Text(name, "cyan")]),
        ]

    def _print_line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _print_summary(self, summary: Mapping[str, Any]) -> None:
        connections = summary["connections"]
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("connection", "phase", "ready", "not ready"):
            table.add_column(heading, overflow="fold")
        for connection_id, state in islice(connections.items(), _MOST_CONNECTIONS):
            table.add_row(*self._summary_row(connection_id, state))
        self._console.print()
        if connections:
            self._console.print(table, highlight=False)
        if len(connections) > _MOST_CONNECTIONS:
            phases = Counter(state["phase"] or "-" for state in connections.values())
            counts = ", ".join(f"{number} in {phase}" for phase, number in phases.most_common())
            more = len(connections) - _MOST_CONNECTIONS
            self._print_line(Text(f"{self._signs.more} and {more} more; of all {len(connections)}: {counts}", "dim"))
        self._print_line(self._counts(summary["published"]))
        self._print_judgement(int(summary.get("failed_expectations", 0)))

    def _summary_row(self, connection_id: str, state: Mapping[str, Any]) -> tuple[Text, Text, Text, Text]:
        statuses = state["dependencies"]
        ready = [name for name, status in statuses.items() if status == "ready"]
        others = [
            name if status == "pending" else f"{name} ({status})"
            for name, status in statuses.items()
            if status != "ready"
        ]
        return (
            Text(self._signs.clean(connection_id), "cyan"),
            Text(state["phase"] or "-", "bold magenta"),
            Text(", ".join(ready) or "-", "green"),
            Text(", ".join(others) or "-", "dim"),
        )

    def _print_judgement(self, failed: int) -> None:
        if failed:
            one_or_more = "expectation" if failed == 1 else "expectations"
            self._print_line(Text(f"{self._signs.bad} {failed} {one_or_more} failed", "bold red"))
        elif self._expectations:
            self._print_line(Text(f"{self._signs.good} everything was as expected", "green"))

    def _counts(self, counts: Mapping[str, int]) -> Text:
        told = ", ".join(f"{name} {self._signs.times}{number}" for name, number in counts.items())
        return Text.assemble(("published ", "dim"), self._signs.clean(told) or "nothing")

    def _shortened(self, name: str, width: int) -> str:
        """Names of one series differ at their ends, so the middle is left out."""
        if len(name) <= width:
            return name
        more = self._signs.more
        kept = width - len(more)
        return name[: kept - kept // 2] + more + name[len(name) - kept // 2 :]


def _indented(text: Text, by: int) -> Text:
    return Text(" " * by).append_text(text)
