"""One part of a definition laid over another: what a file that extends another, or includes from it, changes.

As a JSON merge patch does (RFC 7396): mappings of names are merged key by key, everything else is replaced, ``null``
takes a key away. Beyond it, because the order of transitions has a meaning and to repeat a list is to forget it later:
``{prepend: [...], append: [...]}`` in the place of a list puts items before and after those that were there; and a
``null`` for what was not there is an error, for it is a slip of the pen or an empty state meant.

What is merged is a matter of the language, not of YAML: ``{publish: x}`` under ``enter`` is one action and not a
mapping of names. ``TOP`` and what it refers to say which is which; what they do not name is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from statemachines.language.names import near
from statemachines.language.tree import Node

Complain = Callable[[Node, str], None]
"""Notes what is wrong at a node's key."""


@frozen
class Merged:
    """How a mapping is merged: ``keys`` say how single keys are, ``every`` how any key is that they do not name.

    A value that is no mapping is ``short`` for a mapping with that key, if it may be.
    """

    keys: Mapping[str, Merged | None] = field(factory=dict)
    every: Merged | None = None
    short: str | None = None


@frozen
class Items(Merged):
    """A list, or one item that stands for a list of it."""


_LIST = Items()
_NAMES = Merged()
_DEPENDENCY = Merged({"ready_on": _LIST, "lost_on": _LIST, "failed_on": _LIST}, short="ready_on")
_REMEMBERED = Merged({"on": _LIST})
_STATE_KEYS: dict[str, Merged | None] = {
    **dict.fromkeys(("enter", "exit", "transitions", "defer", "invoke"), _LIST),
    "after": _NAMES,
    "history": _NAMES,
    "ignore": _NAMES,
}
STATE = Merged(_STATE_KEYS)
_STATES = Merged(every=STATE)
_STATE_KEYS["states"] = _STATES
TOP = Merged(
    {
        "starts_on": _LIST,
        "timeouts": _NAMES,
        "dependencies": Merged(every=_DEPENDENCY),
        "remember": Merged(every=_REMEMBERED),
        "keys": Merged(every=_REMEMBERED),
        "properties": _NAMES,
        "ignore": _NAMES,
        "states": _STATES,
    }
)
OWN = ("name", "version", "description", "examples")
"""What a definition has of its own and takes over from no other."""
BROUGHT = ("dependencies", "remember", "keys", "timeouts")
"""What a fragment declares for the states in it."""

WAYS = ("prepend", "append")
"""The keys of a mapping that stands in the place of a list."""


def merge_definition(base: Node, over: Node, complain: Complain) -> Node:
    """What ``over`` says, laid over the definition ``base``, which keeps what is its own."""
    return _merge(base.without(*OWN), over, TOP, complain)


def merge_state(base: Node, over: Node, complain: Complain) -> Node:
    """What ``over`` says, laid over the body of the state ``base``."""
    return _merge(base, over, STATE, complain)


def _merge(base: Node | None, over: Node, rule: Merged | None, complain: Complain) -> Node:
    if rule is None or over.broken:
        return over
    if isinstance(rule, Items):
        return _items(base, over)
    if base is not None and rule.short is not None:
        base, over = _long(base, rule.short), _long(over, rule.short)
    if not isinstance(over.value, dict):
        return over
    before: dict[str, Node] = base.value if base is not None and isinstance(base.value, dict) else {}
    merged = dict(before)
    for name, part in over.value.items():
        if part.value is None and not part.broken:
            if merged.pop(name, None) is None:
                complain(part, f"there is no '{name[:60]}' to take away{near(name, before)}{_empty_state(rule)}")
        else:
            merged[name] = _merge(before.get(name), part, rule.keys.get(name, rule.every), complain)
    return evolve(over, value=merged)


def _empty_state(rule: Merged) -> str:
    return "; for a state with nothing in it write {}" if rule is _STATES else ""


def _long(node: Node, key: str) -> Node:
    """The mapping that a value is short for."""
    return node if isinstance(node.value, dict) else Node({key: node}, node.place, node.key)


def _items(base: Node | None, over: Node) -> Node:
    """A list in the place of another, or put before and after its items."""
    if not isinstance(over.value, dict) or not over.value or set(over.value) - set(WAYS):
        return over
    prepended, appended = (_several(over.child(way)) for way in WAYS)
    return evolve(over, value=[*prepended, *_several(base), *appended])


def _several(node: Node | None) -> list[Any]:
    if node is None:
        return []
    return node.value if isinstance(node.value, list) else [node]
