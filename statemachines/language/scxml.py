"""SCXML read as if it were the YAML of a definition: plain data, each part with the place of its element.

Whatever is said of a definition is then judged by the same rules. A document that phasebus wrote says in attributes of
its namespace what SCXML has no words for, and marks as ``machinery`` what only other interpreters need. Of any other
document is read what phasebus can express; the rest is refused, with what to do instead.

SCXML matches events by leading tokens: there ``call.ended`` also means ``call.ended.early``, so without phasebus' own
word for it a descriptor is read as the name and as all names that begin with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statemachines.errors import Problem
from statemachines.language.names import is_done, is_event, is_name
from statemachines.language.scxml_words import NAMESPACE, SCXML
from statemachines.language.source import Location, Place, Source
from statemachines.language.xml_source import Element, read_xml

_STATES = ("state", "parallel", "final")
_ACTIONS = {
    "script": "runs code, and a definition never does: call a hook by <send event='NAME' target='#_parent'/>",
    "assign": "changes data, and facts are changed by events only: declare it with <phasebus:remember>",
    "raise": "sends an event to the chart itself: make it a transition without event",
    "foreach": "repeats, and a definition cannot: do it in a hook",
    "if": "decides, which only a transition's cond can: make two transitions",
    "log": "writes a log, and a definition does not: call a hook, or remove it",
    "cancel": "cancels a <send>: write a timer as <transition phasebus:after='5s' target='…'/>, which ends by itself",
}
_REPLACED = {"&&": "and", "||": "or", "===": "==", "!==": "!="}
_WORDS = {"true": "True", "false": "False", "null": "None", "undefined": "None"}
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|!==|===|&&|\|\||!(?!=)|[\w.]+|\s+|.", re.DOTALL)


def is_scxml(path: str) -> bool:
    """Whether a file is SCXML, by its name."""
    return path.lower().endswith(".scxml")


def read_scxml(content: bytes, path: str) -> Source:
    """Read an SCXML document into the plain data of a definition. Never raises on bad input."""
    root = read_xml(content, path)
    if isinstance(root, Problem):
        return Source(path, problems=(root,), readable=False)
    reader = _Reader(path)
    if root.tag != "scxml" or root.namespace not in (SCXML, ""):
        reader.refuse(root, f"the root is <{root.tag}>, not <scxml xmlns='{SCXML}'>")
        return Source(path, problems=tuple(reader.problems), readable=False)
    reader.document(root)
    return Source(
        path, reader.data, tuple(reader.problems), values=reader.values, keys=reader.keys, folder=Path(path).parent
    )


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.values: dict[Location, Place] = {}
        self.keys: dict[Location, Place] = {}
        self.data: dict[str, Any] = {}
        self.ids: dict[str, str] = {}

    def refuse(self, at: Element, message: str) -> None:
        self.problems.append(Problem(self.path, at.line, at.column, "error", message))

    def put(self, into: Any, base: Location, key: str | int, value: Any, at: Element) -> Any:
        """``value`` at ``key`` of a mapping, or at the end of a list."""
        location = (*base, key)
        self.values[location] = self.keys[location] = Place(at.line, at.column)
        if isinstance(into, list):
            into.append(value)
        else:
            into[key] = value
        return value

    # -- the document --

    def document(self, root: Element) -> None:
        self.values[()] = Place(root.line, root.column)
        for found in _walk(root):  # ids that were changed for other readers are changed back
            if (was := own(found, "state")) is not None:
                self.ids[found.get("id") or ""] = was
        self.put(self.data, (), "name", root.get("name") or "", root)
        for header in root.named("definition"):
            if header.namespace == NAMESPACE:
                self._header(header)
        states = self.put(self.data, (), "states", {}, root)
        first = root.get("initial")
        around = [child for child in self._states(root) if is_machinery(child)]
        tops: list[Element] = []
        for child in self._states(root):
            tops += self._states(child) if child in around else [child]
        if around:
            first = around[0].get("initial") or first
        for moved in [child for child in tops if own(child, "position") is not None]:
            tops.remove(moved)
            position = own(moved, "position") or ""
            tops.insert(int(position) if position.isdecimal() and len(position) < 6 else len(tops), moved)
        for child in root.children:
            if child.tag not in _STATES and child.namespace != NAMESPACE and not is_machinery(child):
                cure = "declare dependencies with <phasebus:dependency>" if child.tag == "datamodel" else "remove it"
                self.refuse(child, f"<{child.tag}> holds what a definition cannot say: {cure}")
        self._inside(states, ("states",), tops, first, False)

    def _states(self, parent: Element) -> list[Element]:
        return list(parent.named(*_STATES))

    def _inside(
        self, states: dict[str, Any], base: Location, children: list[Element], first: str | None, parallel: bool
    ) -> None:
        for number, child in enumerate(children):
            given = child.get("id")
            if given is None:
                self.refuse(child, f"this <{child.tag}> has no id: give it one")
                continue
            name = self.ids.get(given, given)
            if name in states:
                self.refuse(child, f"two states are called '{name}': rename one")
                continue
            initial = given == first if first is not None else number == 0
            if parallel:
                initial = own(child, "first") == "true"
            self._state(states, base, name, child, initial)

    def _state(self, states: dict[str, Any], base: Location, name: str, at: Element, initial: bool) -> None:
        body: dict[str, Any] = self.put(states, base, name, {}, at)
        here = (*base, name)
        if initial:
            self.put(body, here, "initial", True, at)
        if at.tag in ("final", "parallel"):
            self.put(body, here, at.tag, True, at)
        if (ignore := own(at, "ignore")) is not None:
            self.put(body, here, "ignore", self._json(at, "ignore", ignore), at)
        if (defer := own(at, "defer")) is not None:
            self.put(body, here, "defer", defer.split(), at)
        first = at.get("initial")
        for child in at.children:
            if is_machinery(child) or child.tag in _STATES:
                continue
            if child.tag == "initial":
                first = next((t.get("target") for t in child.named("transition")), None)
            else:
                self._part(body, here, child)
        if inner := self._states(at):
            self._inside(self.put(body, here, "states", {}, at), (*here, "states"), inner, first, at.tag == "parallel")

    def _part(self, body: dict[str, Any], here: Location, child: Element) -> None:
        match child.tag:
            case "onentry":
                self._actions(body, here, "enter", child)
            case "onexit" | "exit":
                self._actions(body, here, "exit", child)
            case "transition" if own(child, "after") is not None:
                self._timer(body, here, child)
            case "transition":
                self._transition(body, here, child)
            case "history":
                self._history(body, here, child)
            case "coroutine" if child.namespace == NAMESPACE:
                found = self._list(body, here, "invoke", child)
                names = ("call", "done", "failed")
                written = {name: value for name in names if (value := child.get(name)) or (value := own(child, name))}
                self.put(found, (*here, "invoke"), len(found), written, child)
            case "invoke":
                cure = "write <phasebus:coroutine phasebus:call='NAME'/>"
                self.refuse(child, f"<invoke> starts another session, and phasebus a registered coroutine: {cure}")
            case _:
                self.refuse(child, f"<{child.tag}> is nothing that phasebus can express in a state: remove it")

    def _list(self, body: dict[str, Any], here: Location, key: str, at: Element) -> list[Any]:
        found: list[Any] = body[key] if key in body else self.put(body, here, key, [], at)
        return found

    # -- transitions --

    def _transition(self, body: dict[str, Any], here: Location, at: Element) -> None:
        found = self._list(body, here, "transitions", at)
        place = (*here, "transitions", len(found))
        made: dict[str, Any] = self.put(found, place[:-1], len(found), {}, at)
        events = self._events(at)
        if events:
            self.put(made, place, "event", events, at)
            for number in range(len(events)):
                self.values[(*place, "event", number)] = Place(at.line, at.column)
        self._guarded(made, place, at)
        if at.get("type") == "internal":
            self.put(made, place, "internal", True, at)

    def _guarded(self, made: dict[str, Any], place: Location, at: Element) -> None:
        target = at.get("target")
        if target is not None and " " in target.strip():
            self.refuse(at, "a transition to several states at once: lead to the state around them, or to a history")
        elif target is not None:
            self.put(made, place, "target", self.ids.get(target, target), at)
        guard, unless = own(at, "guard"), own(at, "unless")
        is_ours = guard is not None or unless is not None or own(at, "events") is not None or own(at, "after")
        if guard is None and not is_ours and at.get("cond") is not None and at.get("cond") != "settling":
            guard = self._expression(at.get("cond") or "")
        if guard is not None:
            self.put(made, place, "cond", guard, at)
        if unless is not None:
            self.put(made, place, "unless", unless, at)
        self._actions(made, place, "on", at)

    def _events(self, at: Element) -> list[str]:
        exact = own(at, "events")
        if exact is not None:
            return exact.split()
        events: list[str] = []
        for descriptor in (at.get("event") or "").split():
            name = descriptor.removesuffix(".*").removesuffix(".")
            if name == "*" or is_done(name):
                events.append(name)
            elif is_event(name):
                events += [name, f"{name}.*"]
            elif is_name(name) and name != descriptor:
                events.append(f"{name}.*")
            else:
                cure = f"rename it, as in call.{name}" if is_name(name) else "use a-z, 0-9 and _ in two or more tokens"
                self.refuse(
                    at, f"'{descriptor[:60]}' is no event of phasebus, whose names have two or more tokens: {cure}"
                )
        return list(dict.fromkeys(events))

    def _timer(self, body: dict[str, Any], here: Location, at: Element) -> None:
        timers: dict[str, Any] = body["after"] if "after" in body else self.put(body, here, "after", {}, at)
        written = own(at, "after") or ""
        if written in timers:
            self.refuse(at, f"two timers of '{written}' in one state: write one of them in another unit, as in 5000ms")
            return
        place = (*here, "after", written)
        made: dict[str, Any] = self.put(timers, place[:-1], written, {}, at)
        self._guarded(made, place, at)
        if (backoff := own(at, "backoff")) is not None:
            try:
                self.put(made, place, "backoff", float(backoff), at)
            except ValueError:
                self.refuse(at, f"'{backoff[:60]}' is no number: write phasebus:backoff='2'")
        if (longest := own(at, "max")) is not None:
            self.put(made, place, "max", longest, at)

    def _history(self, body: dict[str, Any], here: Location, at: Element) -> None:
        histories: dict[str, Any] = body["history"] if "history" in body else self.put(body, here, "history", {}, at)
        given = at.get("id") or ""
        name = self.ids.get(given, given)
        place = (*here, "history", name)
        made: dict[str, Any] = self.put(histories, place[:-1], name, {}, at)
        self.put(made, place, "type", at.get("type") or "shallow", at)
        ways = self.put(made, place, "transitions", [], at)
        for number, way in enumerate(at.named("transition")):
            target = way.get("target") or ""
            inner: dict[str, Any] = self.put(ways, (*place, "transitions"), number, {}, way)
            self.put(inner, (*place, "transitions", number), "target", self.ids.get(target, target), way)

    # -- actions --

    def _actions(self, body: dict[str, Any], here: Location, key: str, at: Element) -> None:
        for child in at.children:
            if is_machinery(child):
                continue
            if child.tag != "send":
                what = _ACTIONS.get(child.tag, "is no action of phasebus: remove it")
                self.refuse(child, f"<{child.tag}> {what}")
                continue
            action = self._send(child)
            if action is not None:
                found = self._list(body, here, key, child)
                self.put(found, (*here, key), len(found), action, child)

    def _send(self, at: Element) -> Any:
        event = at.get("event")
        if at.get("delay") is not None or at.get("delayexpr") is not None:
            cure = "write a timer as <transition phasebus:after='5s' target='…'/>"
            self.refuse(at, f"a delayed <send> is not read: {cure}")
            return None
        if event is None or any(
            at.get(name) for name in ("eventexpr", "targetexpr", "typeexpr", "namelist", "idlocation")
        ):
            self.refuse(at, "a <send> needs its event written out: event='call.ended', and <param>s for what it brings")
            return None
        if is_name(event):
            return {"call": event}
        data = self._payload(at)
        return {"publish": {"event": event, "data": data} if data else event}

    def _payload(self, at: Element) -> dict[str, Any]:
        written = own(at, "payload")
        if written is not None:
            return self._json(at, "payload", written)
        return {
            child.get("name") or "": {"expr": self._expression(child.get("expr") or child.get("location") or "")}
            for child in at.named("param")
        }

    def _json(self, at: Element, name: str, written: str) -> dict[str, Any]:
        try:
            found = json.loads(written)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.refuse(at, f"'{name}' is no JSON object: write {{}} with fields in it, or remove it")
            return {}
        return found

    # -- what belongs to the whole connection --

    def _header(self, header: Element) -> None:
        for key in ("retain", "early", "description"):
            if (value := header.get(key)) is not None:
                self.put(self.data, (), key, value, header)
        if (version := header.get("version")) is not None:
            self.put(self.data, (), "version", int(version) if version.isdecimal() else version, header)
        for key in ("ignore", "examples"):
            if (written := header.get(key)) is not None:
                self.put(self.data, (), key, self._json(header, key, written), header)
        for child in header.children:
            self._declared(child)

    def _declared(self, at: Element) -> None:
        name = at.get("name") or ""
        match at.tag:
            case "starts_on":
                self._trigger(self.data, (), at)
            case "timeout":
                timeouts = self.data.setdefault("timeouts", {})
                self.put(timeouts, ("timeouts",), name, at.get("delay"), at)
            case "dependency":
                body = self._entry("dependencies", name, at)
                if at.get("required") is not None:
                    self.put(body, ("dependencies", name), "required", at.get("required") == "true", at)
                for trigger in at.children:
                    self._trigger(body, ("dependencies", name), trigger)
            case "remember" | "key":
                section = "remember" if at.tag == "remember" else "keys"
                body = self._entry(section, name, at)
                self.put(body, (section, name), "value", at.get("value"), at)
                for trigger in at.children:
                    self._trigger(body, (section, name), trigger)
            case "property":
                self._property(name, at)
            case _:
                self.refuse(at, f"<{at.tag}> is unknown here: declare dependency, remember, key, timeout or property")

    def _entry(self, section: str, name: str, at: Element) -> dict[str, Any]:
        entries: dict[str, Any] = self.data.setdefault(section, {})
        self.values.setdefault((section,), Place(at.line, at.column))
        if name in entries:
            self.refuse(at, f"'{name[:60]}' is declared twice: remove one")
        body: dict[str, Any] = self.put(entries, (section,), name, {}, at)
        return body

    def _trigger(self, body: dict[str, Any], here: Location, at: Element) -> None:
        found = self._list(body, here, at.tag, at)
        made: dict[str, Any] = self.put(found, (*here, at.tag), len(found), {}, at)
        for key in ("event", "when"):
            if (value := at.get(key)) is not None:
                self.put(made, (*here, at.tag, len(found) - 1), key, value, at)

    def _property(self, name: str, at: Element) -> None:
        body = self._entry("properties", name, at)
        here = ("properties", name)
        for key in ("always", "never", "sometimes", "always_reachable", "within"):
            if (value := at.get(key)) is not None:
                self.put(body, here, key, value, at)
        if (leads := at.get("leads_to")) is not None:
            self.put(body, here, "leads_to", [at.get("from") or "", leads], at)
        closes = {child.get("action") or "": child.get("by") or "" for child in at.named("closes")}
        if closes:
            self.put(body, here, "closes", closes, at)

    def _expression(self, text: str) -> str:
        """An expression of another document, in phasebus' words; what it may say is judged later, like all others."""
        made = []
        for token in _TOKEN.findall(text):
            if token[0] in "'\"":
                made.append(token)
            elif token.isspace():
                made.append("" if made and made[-1].endswith(" ") else " ")
            elif token == "!":
                made.append("not ")
            elif token in _REPLACED:
                spaced = "" if made and made[-1].endswith(" ") else " "
                made.append(f"{spaced}{_REPLACED[token]} ")
            elif token.startswith("_event.data."):
                made.append(token.removeprefix("_event."))
            elif token == "_event.name":
                made.append("event")
            else:
                made.append(_WORDS.get(token, token))
        return "".join(made).strip()


def own(at: Element, name: str) -> str | None:
    """An attribute of phasebus' namespace."""
    return at.attributes.get(f"{{{NAMESPACE}}}{name}")


def is_machinery(at: Element) -> bool:
    """Whether the element only makes other interpreters do what phasebus does anyway."""
    return own(at, "machinery") == "true"


def _walk(at: Element) -> Iterator[Element]:
    yield at
    for child in at.children:
        yield from _walk(child)
