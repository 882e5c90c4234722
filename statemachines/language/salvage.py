"""What is left of a definition when its wrong parts are taken out, so that the rules can look at the rest."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Any

from cattrs import Converter

from statemachines.language.definition import Definition
from statemachines.language.source import Location
from statemachines.language.structuring import Fault, attempt

_ROUNDS = 10


def salvage(data: object, faults: Collection[Fault], converter: Converter) -> Definition | None:
    """The definition without its faulty parts; None if nothing sensible is left."""
    if not isinstance(data, dict) or not data.get("states"):
        return None
    rest = deepcopy(data)
    if not isinstance(rest.get("name"), str):
        rest["name"] = "unnamed"
    for _ in range(_ROUNDS):
        for location in sorted({fault.location for fault in faults}, key=len):
            _take_out(rest, location)
        definition, faults = attempt(rest, Definition, converter)
        if definition is not None or not rest.get("states"):
            return definition
    return None


def _take_out(data: dict[str, Any], location: Location) -> None:
    """Remove the part at ``location``, or what it makes useless, without moving any other part.

    A state or a transition is emptied and not removed: others name the state, and the list's order gives the places.
    """
    if not location:
        return
    *way, last = location
    holder: Any = data
    for step in way:
        holder = _get(holder, step)
    if isinstance(last, int):
        if way and way[-1] == "transitions" and isinstance(holder, list) and holder[last : last + 1] != [{}]:
            holder[last] = {}
        else:
            _take_out(data, tuple(way))
    elif isinstance(holder, dict):
        if _names_a_state(location) and holder.get(last) != {}:
            holder[last] = {}
        else:
            holder.pop(last, None)


def _get(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    if isinstance(holder, list) and isinstance(step, int) and step < len(holder):
        return holder[step]
    return None


def _names_a_state(location: Location) -> bool:
    """Whether the way is states/NAME, states/NAME/states/NAME and so on."""
    return len(location) % 2 == 0 and all(step == "states" for step in location[::2])
