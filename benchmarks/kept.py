"""What a bus keeps: every container that can be reached from it, so that a test can say that nothing was forgotten.

It knows no names of attributes, so a map that somebody adds tomorrow, or hides in a closure, is found as well. It goes
into what belongs to ``bus`` only: not into events, handlers, tasks or anything of the event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from bus import Event, EventBus

CONTAINERS = (dict, list, set, frozenset, deque)


def kept(bus: EventBus) -> dict[str, int]:
    """How much is in each container, by the way to it: ``{"bus._fan_out.waiters.by_connection": 0, …}``.

    Those that hold nothing are left out but for the bus's own, so two looks at a bus at rest are equal.
    """
    found: dict[str, int] = {}
    seen = {id(bus)}
    ahead = deque([("bus", bus)])
    while ahead:
        path, place = ahead.popleft()
        if isinstance(place, CONTAINERS):
            found[path] = len(place)
        for step, inside in _within(place):
            if id(inside) not in seen:
                seen.add(id(inside))
                ahead.append((path + step, inside))
    return found


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """The containers that hold something else than before: how much then, how much now."""
    both = {path: (before.get(path, 0), after.get(path, 0)) for path in {*before, *after}}
    return {path: sizes for path, sizes in sorted(both.items()) if sizes[0] != sizes[1]}


def _within(place: Any) -> Iterator[tuple[str, Any]]:
    """What one step leads to, and how the step is written."""
    match place:
        case dict():
            for key, value in list(place.items()):
                yield f"[{_written(key)}]", value
                yield f" key {_written(key)}", key
        case list() | tuple() | set() | frozenset() | deque():
            for number, item in enumerate(list(place)):
                yield f"[{number}]", item
        case partial():
            yield ".func", place.func
        case MethodType() | BuiltinMethodType():
            yield "", place.__self__
        case FunctionType() if _is_ours(place):
            for name, cell in zip(place.__code__.co_freevars, place.__closure__ or (), strict=True):
                yield f"<{name}>", cell.cell_contents
        case _ if _is_ours(type(place)) and not isinstance(place, Event | type):
            for name in _attributes(place):
                yield f".{name}", getattr(place, name)


def _is_ours(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] == "bus"


def _attributes(place: Any) -> Iterator[str]:
    slots = {name for kind in type(place).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(place, name)}
    yield from sorted({*slots, *getattr(place, "__dict__", ())} - {"__weakref__"})


def _written(key: Any) -> str:
    return key if isinstance(key, str) else type(key).__name__ if _is_ours(type(key)) else repr(key)
