"""What a state's ``include`` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, frozen

from statemachines.language.names import nearest
from statemachines.language.scalars import describe
from statemachines.language.tree import Node

KEYS = ("from", "state", "rename")


@frozen
class Inclusion:
    """The body of a state taken over from another file; the values are still nodes, which know their places."""

    source: Node
    state: Node | None = None
    rename: Mapping[str, Node] = Factory(dict)

    @property
    def names(self) -> dict[str, str]:
        """The other ids, by the ids in that file."""
        return {old: str(node.value) for old, node in self.rename.items()}


def read_inclusion(node: Node, complain: Callable[[Node, str], Any]) -> Inclusion | None:
    """The inclusion that a file writes as ``node``: a name or path, or a mapping. None if ``complain`` was told."""
    if isinstance(node.value, str):
        return Inclusion(node)
    if not isinstance(node.value, dict):
        example = "{from: shared.yaml, state: waiting}"
        complain(node, f"'include' must be a name, a path or a mapping such as {example}, not {describe(node.value)}")
        return None
    faults = list(_faults(node))
    for part, message in faults:
        complain(part, message)
    if faults:
        return None
    rename = node.child("rename")
    return Inclusion(node.value["from"], node.child("state"), {} if rename is None else rename.value)


def _faults(node: Node) -> list[tuple[Node, str]]:
    found: list[tuple[Node, str]] = []
    for name, part in node.value.items():
        if name not in KEYS:
            hint = nearest(name, KEYS) or f": the keys here are {', '.join(KEYS)}"
            found.append((part, f"unknown key '{name[:60]}'{hint}"))
    if "from" not in node.value:
        found.append((node, "the key 'from' is missing: name the file or shipped fragment that has the state"))
    state, rename = node.child("state"), node.child("rename")
    if state is not None and not isinstance(state.value, str):
        found.append((state, f"'state' must be the id of a state, not {describe(state.value)}"))
    if rename is not None and not isinstance(rename.value, dict):
        found.append((rename, f"'rename' must map ids to other ids, not {describe(rename.value)}"))
    elif rename is not None:
        for new in rename.children():
            if not isinstance(new.value, str):
                found.append((new, f"must be the id of a state, not {describe(new.value)}"))
    return found
