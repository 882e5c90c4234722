"""A definition as a mermaid ``stateDiagram-v2``, which GitHub, GitLab and most documentation tools draw.

Mermaid's grammar takes words such as ``end`` for its own, ends a label at a colon or semicolon, and reads markdown in
it. So every character outside a short allow-list is written as mermaid's ``#58;``, and a state whose id mermaid could
not take gets another id, under its own name. Whatever a compound state does on entering and leaving stands in a note,
since mermaid gives only leaves a description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from statemachines.language.definition import Definition, Dependency, State, Transition
from statemachines.rendering.highlight import Highlight
from statemachines.rendering.words import (
    Phrase,
    actions_words,
    event_words,
    history_words,
    invoke_words,
    joined,
    plain,
    timer_words,
    transition_words,
    trigger_words,
)

_INDENT = "    "
_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,()=/+'")
# Mermaid knows these, in any case, wherever an id may stand. `root` is its own name for the whole diagram, and its
# layout keeps states in plain JavaScript objects, which have a `constructor` already.
_TAKEN = frozenset(
    {
        "accdescr",
        "acctitle",
        "as",
        "choice",
        "class",
        "classdef",
        "click",
        "constructor",
        "default",
        "direction",
        "end",
        "fork",
        "hide",
        "href",
        "join",
        "left",
        "note",
        "of",
        "right",
        "root",
        "scale",
        "state",
        "statediagram",
        "style",
        "title",
    }
)


def render_mermaid(definition: Definition, highlight: Highlight | None = None) -> str:
    """The text of the diagram, ending with a newline.

    Mermaid can set apart states but no arrows of a state diagram: those of a highlighted path say so in their labels.
    """
    return "\n".join(_Diagram(definition, highlight or Highlight()).lines()) + "\n"


def escape(text: str) -> str:
    """``text`` as mermaid shows it unchanged inside a label.

    >>> escape("data.x < 3; a_b: 'c'")
    "data.x #60; 3#59; a_b#58; 'c'"
    """
    text = " ".join(text.split())
    # A lone `direction`, and what follows on this line or the next, could be taken for `direction LR`.
    parts = re.split(r"(?i)(?<=directio)(n)(?=\s|$)", text)
    return "".join(_entity(part) if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    return "".join(
        character if _is_plain(character, text[index - 1 : index], text[index + 1 : index + 2]) else _entity(character)
        for index, character in enumerate(text)
    )


def _is_plain(character: str, before: str, after: str) -> bool:
    if character in "_-":  # at the edge of a word it would begin or end emphasis, a list or an arrow
        return before.isalnum() and after.isalnum()
    # mermaid keeps its place for entities with a character that counts as a letter: `ﬂ`
    return character in _PLAIN or (not character.isascii() and character.isalnum() and character != "ﬂ")


def _entity(character: str) -> str:
    return f"#{ord(character)};"


class _Diagram:
    def __init__(self, definition: Definition, highlight: Highlight) -> None:
        self.definition = definition
        self.highlight = highlight
        self.ids = _mermaid_ids(definition)
        self.parents = definition.parents()
        self.around = self.parents | {history.id: state.id for state, history in definition.histories()}
        self.parallel = {state.id for state in definition.walk() if state.parallel}
        self.stand_ins = self._stand_ins()

    def lines(self) -> Iterator[str]:
        yield "stateDiagram-v2"
        for state_id, mermaid_id in self.ids.items():
            if mermaid_id != state_id and state_id in self.parents:
                yield f'{_INDENT}state "{state_id}" as {mermaid_id}'
        yield from self._states(self.definition.states, 1)
        for state in self.definition.walk():
            for target, label in self._transitions(state):
                if not self._within(state.id, target) or self._is_region(state.id):
                    yield self._arrow(state.id, target, label, 1)
        yield from self._dependencies()
        if self.highlight.states:
            yield f"{_INDENT}classDef highlighted fill:#ffd54f,stroke:#c43e00,stroke-width:3px,color:#000"
            yield f"{_INDENT}class {','.join(self.ids[name] for name in self.highlight.states)} highlighted"

    def _states(self, states: tuple[State, ...], depth: int) -> Iterator[str]:
        """States that stand beside each other, and the transitions between them."""
        pad = _INDENT * depth
        for state in states:
            if state.initial:
                yield f"{pad}[*] --> {self.ids[state.id]}"
        for state in states:
            yield from self._state(state, depth)
        for state in states:
            for target, label in self._transitions(state):
                if self._within(state.id, target):
                    yield self._arrow(state.id, target, label, depth)
            if state.final:
                yield f"{pad}{self.ids[state.id]} --> [*]"

    def _state(self, state: State, depth: int) -> Iterator[str]:
        pad, mermaid_id = _INDENT * depth, self.ids[state.id]
        actions = [
            f"{word} / {plain(actions_words(actions))}"
            for word, actions in (("enter", state.enter), ("exit", state.exit))
            if actions
        ]
        actions += [f"invoke / {plain(invoke_words(invoke))}" for invoke in state.invoke]
        if state.defer:
            actions.append(f"defers {plain(event_words(state.defer))}")
        if not state.states:
            # A state that has a description shows no name of its own, unless that is a description too.
            named = mermaid_id == state.id and actions  # one that has another id was named at the top
            yield f'{pad}state "{state.id}" as {mermaid_id}' if named else f"{pad}{mermaid_id}"
            yield from (f"{pad}{mermaid_id} : {escape(action)}" for action in actions)
            return
        yield f"{pad}state {mermaid_id} {{"
        if state.parallel:
            for number, region in enumerate(state.states):
                if number:
                    yield f"{pad}{_INDENT}--"
                yield f"{pad}{_INDENT}[*] --> {self.ids[region.id]}"
                yield from self._state(region, depth + 1)
        else:
            yield from self._states(state.states, depth + 1)
        yield from (f"{pad}{_INDENT}{line}" for line in self._histories(state))
        for words, side in (("any state inside", "from"), (f"{state.id} anew", "to")):
            if (state.id, side) in self.stand_ins:
                yield f'{pad}{_INDENT}state "{words}" as {self.stand_ins[state.id, side]}'
        yield f"{pad}}}"
        if actions:
            yield from _note(mermaid_id, actions, pad)

    def _histories(self, state: State) -> Iterator[str]:
        """Mermaid has no sign for a history: each is a box that says what it is."""
        for history in state.history:
            yield f'state "{escape(f"{history.id}: {plain(history_words(history))}")}" as {self.ids[history.id]}'

    def _stand_ins(self) -> dict[tuple[str, str], str]:
        """Ids of boxes that stand for a region where an arrow leads from it to a state in it, or back: none can."""
        ends: dict[tuple[str, str], None] = {}
        for state in self.definition.walk():
            for target, _ in self._transitions(state):
                if self._crosses(state.id, target):
                    ends[state.id, "from"] = None
                elif self._crosses(target, state.id):
                    ends[target, "to"] = None
        used = {*self.ids, *self.ids.values()}
        found: dict[tuple[str, str], str] = {}
        for region, side in ends:
            name = f"{region}_{side}"
            while name in used or name in _TAKEN:
                name += "_"
            used.add(name)
            found[region, side] = name
        return found

    def _crosses(self, region: str, inner: str) -> bool:
        """Whether the first is a region, and the second a state inside it, or a history of one."""
        if region not in self.parents or not self._is_region(region):
            return False
        current = self.around.get(inner)
        while current is not None and current != region:
            current = self.around[current]
        return current is not None

    def _within(self, source: str, target: str) -> bool:
        """Whether both stand side by side. A compound state would swallow any other state that its lines name."""
        return self.parents[source] == self.parents.get(target, "")

    def _is_region(self, state_id: str) -> bool:
        return self.parents[state_id] in self.parallel

    def _transitions(self, state: State) -> Iterator[tuple[str, str]]:
        """Target and label of all transitions of a state, its timers last."""
        for transition in state.transitions:
            yield self._transition(state, transition, ())
        for after in state.after:
            yield self._transition(state, after.transition, timer_words(after, self.definition.timeouts))

    def _transition(self, state: State, transition: Transition, timer: Phrase) -> tuple[str, str]:
        label = plain(transition_words(transition, timer))
        if transition.target is None:  # drawn as a loop, and said not to be one
            return state.id, f"stays: {label}"
        lit = "● " if self.highlight.has_way(state.id, transition.target) else ""
        return transition.target, lit + label

    def _arrow(self, source: str, target: str, label: str, depth: int) -> str:
        tail, head = self.ids[source], self.ids[target]
        if self._crosses(source, target):
            tail = self.stand_ins[source, "from"]
        elif self._crosses(target, source):
            head = self.stand_ins[target, "to"]
        return f"{_INDENT * depth}{tail} --> {head} : {escape(label)}"

    def _dependencies(self) -> Iterator[str]:
        """What the guards speak of, in a note beside the first state."""
        notes = [
            f"{name}{'' if dependency.required else ' (not required)'}: {_dependency_words(dependency)}"
            for name, dependency in self.definition.dependencies.items()
        ]
        if notes:
            first = next((state for state in self.definition.states if state.initial), self.definition.states[0])
            yield from _note(self.ids[first.id], notes, _INDENT)


def _dependency_words(dependency: Dependency) -> str:
    return ", ".join(
        f"{word} on {plain(joined((trigger_words(trigger) for trigger in triggers), ' or '))}"
        for word, triggers in (
            ("ready", dependency.ready_on),
            ("lost", dependency.lost_on),
            ("failed", dependency.failed_on),
        )
        if triggers
    )


def _note(mermaid_id: str, lines: list[str], pad: str) -> Iterator[str]:
    yield f"{pad}note right of {mermaid_id}"
    yield from (f"{pad}{_INDENT}{escape(line)}" for line in lines)
    yield f"{pad}end note"


def _mermaid_ids(definition: Definition) -> dict[str, str]:
    """For each state the id that the diagram uses: its own, unless mermaid would take that for something else."""
    ids: dict[str, str] = {}
    names = [state.id for state in definition.walk()] + [history.id for _, history in definition.histories()]
    used: set[Any] = set(names)
    for name in names:
        mermaid_id = name
        if name in _TAKEN or name.endswith("direction"):
            while mermaid_id in used:
                mermaid_id += "_"
            used.add(mermaid_id)
        ids[name] = mermaid_id
    return ids
