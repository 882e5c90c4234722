"""Other ids for the states that a part of a definition is or speaks of, so that it fits into another chart.

A state's id stands in targets, as a key of ``states`` and ``history``, in ``done.state.ID``, and in expressions as
``In('ID')`` and ``visits.ID``; nowhere else, so that a literal that happens to be spelled the same stays as it is.

Weak spot: an expression in which a name was changed is no longer what its line says, so that a problem in it points
at where it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import Factory, define, evolve

from statemachines.errors import ExpressionError
from statemachines.language.expressions import parse_expression
from statemachines.language.names import DONE, is_done
from statemachines.language.tree import Node


def rename_states(body: Node, names: Mapping[str, str]) -> tuple[Node, frozenset[str]]:
    """The body of a state with the ids in ``names`` changed, and every id that it spoke of before."""
    renaming = _Renaming(names)
    return renaming.state(body), frozenset(renaming.met)


@define
class _Renaming:
    """One walk over a state's body; ``met`` are the ids that it came by. What has a wrong shape is left as it is."""

    names: Mapping[str, str]
    met: set[str] = Factory(set)

    def state(self, node: Node) -> Node:
        return self._keys(
            node,
            {
                "states": lambda states: self._ids(states, self.state),
                "history": lambda histories: self._ids(histories, self._back),
                "transitions": lambda listed: self._each(listed, self._transition),
                "after": self._timers,
                "enter": lambda listed: self._each(listed, self._action),
                "exit": lambda listed: self._each(listed, self._action),
            },
        )

    def _transition(self, node: Node) -> Node:
        return self._keys(
            node,
            {
                "target": self._target,
                "event": lambda listed: self._each(listed, self._end),
                "cond": self._expression,
                "unless": self._expression,
                "on": lambda listed: self._each(listed, self._action),
            },
        )

    def _back(self, node: Node) -> Node:
        return self._keys(node, {"transitions": lambda listed: self._each(listed, self._transition)})

    def _timers(self, node: Node) -> Node:
        def timer(body: Node) -> Node:
            return self._transition(body) if isinstance(body.value, dict) else self._target(body)

        return self._keys(node, dict.fromkeys(node.value, timer)) if isinstance(node.value, dict) else node

    def _action(self, node: Node) -> Node:
        publish = node.child("publish")
        if publish is None or publish.child("data") is None:
            return node
        return node.with_children({"publish": self._keys(publish, {"data": self._payload})})

    def _payload(self, node: Node) -> Node:
        if isinstance(node.value, list):
            return self._each(node, self._payload)
        if not isinstance(node.value, dict):
            return node
        change = self._expression if "expr" in node.value else self._payload
        return self._keys(node, dict.fromkeys(node.value, change))

    # -- where ids stand --

    def _target(self, node: Node) -> Node:
        return evolve(node, value=self._renamed(node.value)) if isinstance(node.value, str) else node

    def _end(self, node: Node) -> Node:
        if not isinstance(node.value, str) or not is_done(node.value):
            return node
        return evolve(node, value=DONE + self._renamed(node.value[len(DONE) :]))

    def _expression(self, node: Node) -> Node:
        if not isinstance(node.value, str):
            return node
        try:
            parsed = parse_expression(node.value)
        except ExpressionError:
            return node
        text = node.value
        visits = [(name, offset + len("visits.")) for name, offset in parsed.visits]
        for name, offset in sorted((*parsed.states, *visits), key=lambda found: -found[1]):
            begin = text.find(name, offset)  # there may be a quote or a space before it
            if begin >= 0:
                text = text[:begin] + self._renamed(name) + text[begin + len(name) :]
        return node if text == node.value else evolve(node, value=text, place=evolve(node.place, raw=None))

    def _renamed(self, state: str) -> str:
        self.met.add(state)
        return self.names.get(state, state)

    # -- how it walks --

    def _ids(self, node: Node, change: Callable[[Node], Node]) -> Node:
        if not isinstance(node.value, dict):
            return node
        return evolve(node, value={self._renamed(name): change(part) for name, part in node.value.items()})

    def _keys(self, node: Node, changes: Mapping[str, Callable[[Node], Node]]) -> Node:
        if not isinstance(node.value, dict):
            return node
        return node.with_children({name: changes[name](part) for name, part in node.value.items() if name in changes})

    def _each(self, node: Node, change: Callable[[Node], Node]) -> Node:
        """One, or every one of a list."""
        if not isinstance(node.value, list):
            return change(node)
        return evolve(node, value=[change(part) for part in node.value])
