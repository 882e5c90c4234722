"""Traffic files: who sends what to a connection, in which order, and what the network may do to it.

::

    definition: whatsapp_call
    connections: {dependencies: [webrtc_audio_ready, whatsapp_call_accepted], rate: 5/s}
    sources:                                 # each keeps its own order; between sources any order can happen
      phone:
        - {publish: whatsapp.call_accepted, after: {lognormal: {median: 4s, p99: 20s}}, chance: 0.9}
        - whatsapp.call_terminated
    faults: {lose: 1, duplicate: 1, reorder: 1}

Checked as strictly as definitions are: every problem is reported at its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

from statemachines.errors import DefinitionError, Problem, suggestion
from statemachines.language.definition import Definition
from statemachines.language.durations import shortened
from statemachines.language.library import find_definition
from statemachines.language.names import near, nearest
from statemachines.language.scalars import describe
from statemachines.language.shorthands import structure_event_name
from statemachines.language.source import Source, read_file, read_yaml
from statemachines.language.structuring import (
    Faults,
    Wrong,
    WrongParts,
    check_keys,
    flatten,
    problems_of,
    structure_duration,
    structure_number,
    structure_text,
)

SUFFIX = ".traffic.yaml"
KEYS = ("definition", "description", "connections", "sources", "faults")
FAULTS = ("lose", "duplicate", "reorder")
MAX_SOURCES = 50
MAX_ITEMS = 200

_ITEM = ("publish", "type", "data", "after", "chance")
_CONNECTIONS = ("dependencies", "rate")
_EXAMPLES = "{lognormal: {median: 4s, p99: 20s}}, {exponential: 60s}, {uniform: [0s, 2s]}, {constant: 2s}"


@frozen
class Item:
    """An event that a source sends.

    :ivar after: how long after the item before it: seconds, or the name of a distribution with its numbers in seconds
    :ivar chance: how likely it comes at all, from 0 to 1
    """

    type: str
    data: Mapping[str, Any] = Factory(dict)
    after: float | tuple[str, tuple[float, ...]] = 0.0
    chance: float = 1.0


@frozen
class Traffic:
    """A whole traffic file, checked.

    :ivar dependencies: what the connections require; None for what the definition says
    :ivar rate_hz: how many connections begin in a second
    :ivar faults: of ``lose``, ``duplicate`` and ``reorder``: how many in one run, or, below 1, how likely each is
    """

    sources: Mapping[str, tuple[Item, ...]]
    definition: str | None = None
    dependencies: tuple[str, ...] | None = None
    rate_hz: float = 1.0
    faults: Mapping[str, float] = Factory(dict)


def traffic_of(definition: str | Path) -> list[str]:
    """The names of the traffic files in the folder ``traffic`` beside a definition."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _folder(definition).glob(f"*{SUFFIX}"))


def find_traffic(definition: str | Path, name_or_path: str | Path) -> Path:
    """The path of a traffic file: a path as it is, or the name of one that lies beside the definition.

    :raises DefinitionError: there is none; the message has the nearest name

    >>> find_traffic("whatsapp_call", "busy_hour").name
    'busy_hour.traffic.yaml'
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    beside = _folder(definition) / f"{name_or_path}{SUFFIX}"
    if beside.is_file():
        return beside
    known = traffic_of(definition)
    message = f"no such traffic file{suggestion(str(name_or_path), known)}"
    if known:
        message += f"; {definition} comes with {', '.join(known)}"
    raise DefinitionError([Problem(str(name_or_path), 1, 1, "error", message)])


def _folder(definition: str | Path) -> Path:
    return find_definition(definition).parent / "traffic"


def load_traffic(path: str | Path, definition: Definition) -> Traffic:
    """The traffic of a file, checked against a definition.

    :raises DefinitionError: with every problem of the file
    """
    return _checked(read_file(path), definition)


def read_traffic(content: str | bytes, path: str, definition: Definition) -> Traffic:
    """As :func:`load_traffic`, from a text; ``path`` is what its problems call it."""
    return _checked(read_yaml(content, path), definition)


def _checked(source: Source, definition: Definition) -> Traffic:
    traffic, problems = check_traffic(source, definition)
    if traffic is None:
        raise DefinitionError(problems)
    return traffic


def check_traffic(source: Source, definition: Definition) -> tuple[Traffic | None, list[Problem]]:
    """The traffic, if it has no errors, and its errors by line. Never raises on bad input."""
    if not source.readable:
        return None, sorted(source.problems)
    faults = Faults()
    traffic = _structure(source.data, definition, faults)
    problems = sorted({*source.problems, *problems_of(list(flatten(WrongParts(faults.parts), ())), source)})
    return (None if problems else traffic), problems


def _structure(data: Any, definition: Definition, faults: Faults) -> Traffic | None:
    if not isinstance(data, dict):
        faults.add(f"must be a mapping with keys such as {', '.join(KEYS)}, not {describe(data)}")
        return None
    check_keys(data, KEYS, faults)
    named = None
    with faults.at("definition"):
        named = None if "definition" not in data else structure_text(data["definition"])
        if named is not None and Path(named).stem != definition.name:
            raise Wrong(f"this traffic is for '{shortened(named)}', not for '{definition.name}'", whole=True)
    dependencies, rate_hz = _connections(data.get("connections"), definition, faults)
    return Traffic(_sources(data, faults), named, dependencies, rate_hz, _faults(data.get("faults"), faults))


def _connections(data: Any, definition: Definition, faults: Faults) -> tuple[tuple[str, ...] | None, float]:
    if data is None:
        return None, 1.0
    if not isinstance(data, dict):
        faults.add(
            f"must be a mapping with keys such as {', '.join(_CONNECTIONS)}, not {describe(data)}", "connections"
        )
        return None, 1.0
    with faults.at("connections"):
        inner = Faults()
        check_keys(data, _CONNECTIONS, inner)
        inner.check()
    dependencies = None
    if "dependencies" in data:
        with faults.at("connections", "dependencies"):
            dependencies = _dependencies(data["dependencies"], definition)
    rate_hz = 1.0
    with faults.at("connections", "rate"):
        rate_hz = _rate(data.get("rate", "1/s"))
    return dependencies, rate_hz


def _dependencies(value: Any, definition: Definition) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if structure_text(name) not in definition.dependencies:
            hint = near(name, definition.dependencies)
            raise Wrong(f"{definition.name} declares no dependency '{shortened(name)}'{hint}", whole=True)
    return tuple(names)


def _rate(value: Any) -> float:
    number, _, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    try:
        rate_hz = float(number) / {"s": 1, "m": 60, "h": 3600}[unit.strip()]
    except (ValueError, KeyError):
        raise Wrong(f"must be a number a second, as in 5/s, not {describe(value)}") from None
    if not 0 < rate_hz < 1e9:
        raise Wrong("must be above 0")
    return rate_hz


def _faults(data: Any, faults: Faults) -> dict[str, float]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        faults.add(f"must map {', '.join(FAULTS)} to numbers, not {describe(data)}", "faults")
        return {}
    found = {}
    with faults.at("faults"):
        inner = Faults()
        check_keys(data, FAULTS, inner)
        for name in FAULTS:
            if name in data:
                with inner.at(name):
                    found[name] = structure_number(data[name])
                    if not found[name] >= 0 or (found[name] > 1 and found[name] % 1):
                        raise Wrong("must be a whole number of times, or a rate below 1")
        inner.check()
    return found


def _sources(data: Mapping[str, Any], faults: Faults) -> dict[str, tuple[Item, ...]]:
    sources = data.get("sources")
    if not isinstance(sources, dict) or not sources:
        message = "the key 'sources' is missing" if "sources" not in data else "must map names to lists of events"
        faults.add(message, *(["sources"] if "sources" in data else []), key=True, whole="sources" not in data)
        return {}
    if len(sources) > MAX_SOURCES:
        faults.add(f"has {len(sources)} sources: {MAX_SOURCES} is the most", "sources")
        return {}
    found = {}
    for name, items in sources.items():
        with faults.at("sources", name):
            if not isinstance(items, list):
                raise Wrong(f"must be a list of events, not {describe(items)}")
            if len(items) > MAX_ITEMS:
                raise Wrong(f"has {len(items)} events: {MAX_ITEMS} is the most")
            inner = Faults()
            made = []
            for index, item in enumerate(items):
                with inner.at(index):
                    made.append(_item(item))
            inner.check()
            found[name] = tuple(made)
    return found


def _item(raw: Any) -> Item:
    if isinstance(raw, str):
        return Item(structure_event_name(raw))
    if not isinstance(raw, dict) or "publish" not in raw:
        raise Wrong(f"must be an event's name or {{publish: …}}, not {describe(raw)}")
    inner = raw["publish"] if isinstance(raw["publish"], dict) else {"type": raw["publish"]}
    given = {**inner, **{key: value for key, value in raw.items() if key != "publish"}}
    faults = Faults()
    check_keys(given, _ITEM, faults)
    values: dict[str, Any] = {}
    for key, read in (("type", structure_event_name), ("data", _data), ("after", _after), ("chance", _chance)):
        if key in given:
            with faults.at("publish" if key == "type" else key):
                values[key] = read(given[key])
    if "type" not in given:
        faults.add("the key 'type' is missing", "publish", key=True, whole=True)
    faults.check()
    return Item(**values)


def _data(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"must be a mapping of fields, not {describe(value)}")
    return value


def _chance(value: Any) -> float:
    chance = structure_number(value)
    if not 0 <= chance <= 1:
        raise Wrong("must be from 0 to 1")
    return chance


def _after(value: Any) -> float | tuple[str, tuple[float, ...]]:
    if not isinstance(value, dict):
        return structure_duration(value)
    kind = next(iter(value), "")
    if len(value) != 1 or kind not in _LAWS:
        hint = nearest(kind, _LAWS) if len(value) == 1 else ""
        raise Wrong(f"must be a duration or one of {_EXAMPLES}{hint}")
    faults = Faults()
    read: float | tuple[str, tuple[float, ...]] = 0.0
    with faults.at(kind):
        read = _LAWS[kind](value[kind])
    faults.check()
    return read


def _exponential(value: Any) -> tuple[str, tuple[float, ...]]:
    return "exponential", (structure_duration(value),)


def _uniform(value: Any) -> tuple[str, tuple[float, ...]]:
    if not isinstance(value, list) or len(value) != 2:
        raise Wrong("takes two durations, as in [200ms, 2s]")
    low, high = _durations(dict(enumerate(value)))
    if low > high:
        raise Wrong("takes the shorter duration first")
    return "uniform", (low, high)


def _lognormal(value: Any) -> tuple[str, tuple[float, ...]]:
    if not isinstance(value, dict) or set(value) != {"median", "p99"}:
        raise Wrong("takes median and p99, as in {median: 4s, p99: 20s}")
    median, p99 = _durations({name: value[name] for name in ("median", "p99")})
    if not 0 < median <= p99:
        raise Wrong("takes a median above 0s and a p99 that is not shorter")
    return "lognormal", (median, p99)


def _durations(parts: Mapping[Any, Any]) -> list[float]:
    faults = Faults()
    seconds = []
    for name, part in parts.items():
        with faults.at(name):
            seconds.append(structure_duration(part))
    faults.check()
    return seconds


_LAWS: Mapping[str, Callable[[Any], float | tuple[str, tuple[float, ...]]]] = {
    "lognormal": _lognormal,
    "exponential": _exponential,
    "uniform": _uniform,
    "constant": structure_duration,
}
