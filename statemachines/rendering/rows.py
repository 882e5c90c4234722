"""What one row of a timeline says: an input, and everything that it did, as paragraphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, frozen
from rich.text import Text

from statemachines.connections.trace import Entry
from statemachines.rendering.columns import GAP
from statemachines.rendering.payloads import Payloads
from statemachines.rendering.signs import Signs

REGISTERED = "connection.created"
PHASE_CHANGED = "connection.phase_changed"
VERDICTS = ("early", "deferred", "ignored", "rejected")
_STATUS_STYLES = {"ready": "green", "failed": "red", "pending": "yellow"}


@define
class Group:
    """The entries that belong to one input. ``awaited`` is what the connection waits for after the last of them."""

    entries: list[Entry]
    awaited: Sequence[str] = ()

    @property
    def first(self) -> Entry:
        """The entry that the row begins with."""
        return self.entries[0]

    def takes(self, entry: Entry) -> bool:
        """Whether an entry belongs to this input, rather than beginning another row."""
        first, details = self.first, entry.details
        if entry.kind in ("event", "timer", "expect") or entry.connection != first.connection:
            return False
        if entry.kind == "publish":
            return bool(details["type"] != REGISTERED)
        if entry.kind in VERDICTS:  # on what this row is about, and once
            judged = any(other.kind in VERDICTS for other in self.entries)
            about_this = bool(details["type"] == first.details.get("type"))
            return about_this and not judged and not details.get("released")
        return True


@frozen
class Row:
    """Writes groups."""

    signs: Signs
    payloads: Payloads

    def cause(self, group: Group, width: int) -> list[Text]:
        """What came: a name, and what it carries, on one line if both fit into ``width``."""
        first, details = group.first, group.first.details
        if first.kind == "timer":
            return [Text(self.signs.clean(f"timer {details['timer']} of {details['state']}"), "yellow")]
        if not _is_input(first):
            return [Text(self.signs.more, "dim")]  # more of what came before
        name = Text(self.signs.clean(str(details["type"]) or "by hand"), "bold")
        payload = Text(self.payloads.fields(_carried(group)), "dim")
        if not payload:
            return [name]
        if name.cell_len + GAP + payload.cell_len <= width:
            return [Text.assemble(name, " " * GAP, payload)]
        return [name, payload]

    def effects(self, group: Group) -> list[Text]:
        """What it did, in order, and what is still awaited."""
        paragraphs = [
            told for entry in group.entries if (told := self._effect(entry, entry is group.first)) is not None
        ]
        if group.awaited and _did_something(group):
            paragraphs.append(Text.assemble(("awaits ", "dim"), (self.signs.clean(", ".join(group.awaited)), "yellow")))
        return paragraphs

    def expectation(self, entry: Entry) -> Iterator[Text]:
        """What was expected, and where it failed, what was found instead."""
        ok = bool(entry.details["ok"])
        asked = {name: part for name, part in entry.details.items() if isinstance(part, Mapping)}
        sign, style = (self.signs.good, "green") if ok else (self.signs.bad, "bold red")
        expected = ", ".join(self._asked(name, part["expected"]) for name, part in asked.items())
        yield Text(f"{sign} expected {expected}", style)
        for name, part in asked.items():
            if not part["ok"]:
                yield Text(f"found {self._asked(name, part['found'])}", "red")

    def _asked(self, name: str, value: Any) -> str:
        return f"{name.replace('_', ' ')} {self.payloads.value(name, value)}"

    def _effect(self, entry: Entry, is_first: bool) -> Text | None:
        details = entry.details
        match entry.kind:
            case "fact":
                return self._fact(str(details["name"]), details["value"])
            case "transition":
                return self._transition(str(details["from"]), str(details["to"]))
            case "publish" if is_first and details["type"] == REGISTERED:
                return Text("registered", "green")
            case "publish" if details["type"] != PHASE_CHANGED:  # the transition has said so
                payload = self.payloads.fields(_payload(entry))
                name = (self.signs.clean(str(details["type"])), "bold blue")
                return Text.assemble(("publishes ", "dim"), name, (f"  {payload}" if payload else "", "dim"))
            case "call":
                return Text.assemble(("calls ", "dim"), (self.signs.clean(str(details["name"])), "bold blue"))
            case "invoke":
                name = (self.signs.clean(str(details["name"])), "bold blue")
                return Text.assemble(("invokes ", "dim"), name, (f" while in {details['state']}", "dim"))
            case "early" | "deferred" | "ignored" | "rejected":
                return self._verdict(entry)
        return None

    def _fact(self, name: str, value: Any) -> Text:
        """A dependency's status in its colour; what is remembered, plain."""
        if name.startswith("meta."):
            return Text(f"{name} is {self.payloads.value(name.removeprefix('meta.'), value)}")
        return Text.assemble(f"{name} is ", (str(value), _STATUS_STYLES.get(str(value), "")))

    def _transition(self, source: str, target: str) -> Text:
        return Text.assemble((source, "magenta"), (f" {self.signs.arrow} ", "magenta"), (target, "bold magenta"))

    def _verdict(self, entry: Entry) -> Text:
        signs, details = self.signs, entry.details
        match entry.kind:
            case "early" if details.get("released"):
                return Text("had come early", "yellow")
            case "early":
                return Text(f"{signs.lost} early: waits for the registration", "yellow")
            case "deferred" if details.get("again"):
                return Text("had waited for this", "yellow")
            case "deferred":
                return Text(f"{signs.lost} deferred: waits for another state", "yellow")
            case "ignored" if details["type"] == REGISTERED:
                return Text("registered", "green")  # the event that a connection starts on did just that
            case "ignored":
                return Text("- ignored: no state handles it, no fact changes", "dim")
        return Text(f"{signs.bad} rejected: {self.payloads.text(str(details.get('reason', '')))}", "red")


def _is_input(entry: Entry) -> bool:
    return entry.kind in ("event", *VERDICTS) or (entry.kind == "publish" and entry.details["type"] == REGISTERED)


def _did_something(group: Group) -> bool:
    return any(entry.kind in ("fact", "transition") for entry in group.entries) or (
        group.first.details.get("type") == REGISTERED
    )


def _carried(group: Group) -> dict[str, Any]:
    """What an event says beside its type and connection, nothing twice."""
    first = group.first
    carried = _payload(first)
    if first.details["type"] == REGISTERED and carried.get("dependencies") == list(group.awaited):
        carried.pop("dependencies", None)  # about to be told as awaited
    if first.connection is None or any(entry.kind in ("early", "rejected") for entry in group.entries):
        # Whose it was meant to be matters only where it did not simply find its connection.
        carried |= {name: first.details[name] for name in ("call_id", "tenant_id") if first.details.get(name)}
    if first.details.get("error"):
        carried["error"] = first.details["error"]
    return carried


def _payload(entry: Entry) -> dict[str, Any]:
    data = entry.details.get("data")
    if not isinstance(data, Mapping):
        return {} if data is None else {"data": data}
    return {name: value for name, value in data.items() if not (name == "connection_id" and value == entry.connection)}
