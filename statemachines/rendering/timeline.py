"""A timeline for people: what came, and what it did, row by row as it happens.

A row begins with an event, a timer or a registration. On its right stand the facts that changed, the phase, what was
published and called, and what is still awaited. Phone numbers and names stay hidden unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from statemachines.connections.trace import Entry
from statemachines.rendering.columns import Cell, side_by_side
from statemachines.rendering.payloads import Payloads
from statemachines.rendering.signs import signs_for

_TIME_WIDTH = 10
_CONNECTION_WIDTH = 17
_REGISTERED = "connection.created"
_TOLD_AS_PHASE = "connection.phase_changed"
_BEGINNINGS = ("event", "timer", "expect")


class Timeline:
    """Prints entries as they come.

    :param awaited: the names of the dependencies that a connection still waits for
    :param show_payloads: show personal data too
    """

    def __init__(
        self, console: Console, awaited: Callable[[str], Sequence[str]] | None = None, *, show_payloads: bool = False
    ) -> None:
        self._console = console
        self._awaited = awaited or (lambda connection_id: ())
        self._signs = signs_for(console.options)
        self._payloads = Payloads(self._signs, show=show_payloads)
        self._group: list[Entry] = []
        self._counts: dict[str, int] = {}
        self._awaiting: Sequence[str] = ()

    def add(self, entry: Entry) -> None:
        """Tell of one more thing. A row is printed when the next one begins, or at the end."""
        if entry.kind == "publish":
            event_type = str(entry.details["type"])
            self._counts[event_type] = self._counts.get(event_type, 0) + 1
        if self._group and self._begins(entry):
            self._flush()
        self._group.append(entry)
        # Asked now: by the time the row is printed, the connection has moved on.
        self._awaiting = self._awaited(entry.connection) if entry.connection else ()
        if entry.kind == "expect":
            self._flush()

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """Print the last row, and the summary if there is one."""
        self._flush()
        if summary is not None:
            self._print_summary(summary)
        elif self._counts:
            self._console.print()
            self._console.print(self._published(self._counts))

    def _begins(self, entry: Entry) -> bool:
        first = self._group[0]
        return (
            entry.kind in _BEGINNINGS
            or entry.connection != first.connection
            or (entry.kind == "publish" and entry.details["type"] == _REGISTERED)
            or entry.details.get("released") is True
        )

    def _flush(self) -> None:
        group, self._group = self._group, []
        if not group:
            return
        first = group[0]
        if first.kind == "expect":
            self._print_expectation(first)
            return
        room = self._console.width - _TIME_WIDTH - _CONNECTION_WIDTH - 6
        left = max(24, room * 45 // 100)
        cells = [
            Cell(_TIME_WIDTH, [Text(f"+{first.at:.3f}s", "dim")]),
            Cell(_CONNECTION_WIDTH, [Text(self._short(first.connection or "-", _CONNECTION_WIDTH), "cyan")]),
            Cell(left, self._cause(first), 2),
            Cell(max(24, room - left), self._effects(group), 2),
        ]
        for line in side_by_side(self._console, cells):
            self._console.print(line, soft_wrap=True)

    def _cause(self, entry: Entry) -> list[Text]:
        details = entry.details
        if entry.kind == "timer":
            return [Text(f"timer {details['timer']} of {details['state']}", "yellow")]
        name = Text(str(details.get("type", entry.kind)), "bold")
        paragraphs = [name]
        payload = self._payload(details.get("data") or {})
        if payload:
            paragraphs.append(Text(payload, "dim"))
        return paragraphs

    def _effects(self, group: list[Entry]) -> list[Text]:
        first, paragraphs = group[0], []
        for entry in group:
            told = self._effect(entry, entry is first)
            if told is not None:
                paragraphs.append(told)
        if self._awaiting and any(entry.kind in ("fact", "transition", "publish") for entry in group):
            paragraphs.append(Text.assemble(("awaits ", "dim"), (", ".join(self._awaiting), "yellow")))
        return paragraphs

    def _effect(self, entry: Entry, first: bool) -> Text | None:
        details, signs = entry.details, self._signs
        match entry.kind:
            case "fact":
                value = self._payloads.value(str(details["name"]).removeprefix("meta."), details["value"])
                style = {"ready": "green", "failed": "red", "pending": "yellow"}.get(value, "")
                return Text.assemble(f"{details['name']} is ", (value, style))
            case "transition" if details["from"] == details["to"]:
                return Text.assemble((str(details["to"]), "bold magenta"), (" stays", "dim"))
            case "transition":
                return Text.assemble(
                    (str(details["from"]), "magenta"), f" {signs.arrow} ", (str(details["to"]), "bold magenta")
                )
            case "publish" if not first and details["type"] != _TOLD_AS_PHASE:
                payload = self._payload(details.get("data") or {})
                return Text.assemble(
                    ("publishes ", "dim"),
                    (str(details["type"]), "bold blue"),
                    (f" {payload}" if payload else "", "dim"),
                )
            case "publish" if first:
                return Text("registered", "green")
            case "call":
                return Text.assemble(("calls ", "dim"), (str(details["name"]), "bold blue"))
            case "early" if details.get("released"):
                return Text("had come early", "yellow")
            case "early":
                return Text(f"{signs.lost} early: waits for the registration", "yellow")
            case "ignored" if details["type"] == _REGISTERED:
                return Text("registered", "green")  # the event that a connection starts on did just that
            case "ignored":
                return Text("ignored: no state handles it, no fact changes", "dim")
            case "rejected":
                return Text(f"{signs.bad} rejected: {self._payloads.text(str(details['reason']))}", "red")
        return None

    def _print_expectation(self, entry: Entry) -> None:
        ok = bool(entry.details["ok"])
        sign, style = (self._signs.good, "green") if ok else (self._signs.bad, "bold red")
        asked = {name: part for name, part in entry.details.items() if isinstance(part, Mapping)}
        line = Text(
            " " * (_TIME_WIDTH + 2)
            + self._short(entry.connection or "-", _CONNECTION_WIDTH).ljust(_CONNECTION_WIDTH + 2)
        )
        line.append(f"{sign} expected ", style)
        line.append(", ".join(f"{name} {_words(part['expected'])}" for name, part in asked.items()), style)
        self._console.print(line, soft_wrap=True)
        for name, part in asked.items():
            if not part["ok"]:
                self._console.print(
                    Text(" " * (_TIME_WIDTH + _CONNECTION_WIDTH + 6) + f"found {name} {_words(part['found'])}", "red"),
                    soft_wrap=True,
                )

    def _print_summary(self, summary: Mapping[str, Any]) -> None:
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("connection", "phase", "ready", "not ready"):
            table.add_column(heading, overflow="fold")
        for connection_id, state in summary["connections"].items():
            statuses = state["dependencies"]
            ready = [name for name, status in statuses.items() if status == "ready"]
            others = [name if s == "pending" else f"{name} ({s})" for name, s in statuses.items() if s != "ready"]
            table.add_row(
                Text(connection_id, "cyan"),
                Text(state["phase"] or "-", "bold magenta"),
                Text(", ".join(ready) or "-", "green"),
                Text(", ".join(others) or "-", "dim"),
            )
        self._console.print()
        self._console.print(table)
        self._console.print(self._published(summary["published"]))
        if summary["failed_expectations"]:
            self._console.print(Text(f"{summary['failed_expectations']} expectations failed", "bold red"))

    def _published(self, counts: Mapping[str, int]) -> Text:
        told = ", ".join(f"{name} {self._signs.times}{number}" for name, number in counts.items())
        return Text.assemble(("published ", "dim"), told or "nothing")

    def _payload(self, data: Any) -> str:
        if not isinstance(data, Mapping):
            return ""
        fields = self._payloads.fields({name: value for name, value in data.items() if name != "connection_id"})
        return f"{{{fields}}}" if fields else ""

    def _short(self, text: str, width: int) -> str:
        return text if len(text) <= width else text[: width - len(self._signs.more)] + self._signs.more


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_words, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_words(inner)}" for name, inner in value.items()) + "}"
    return str(value)
