"""What a picture of two definitions in one sets apart: parts that came, went or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import Factory, frozen

from statemachines.language.definition import Transition
from statemachines.rendering.words import Phrase


@frozen
class Mark:
    """How one kind of change is drawn: by a sign for those who see no colour, a line and a fill."""

    sign: str
    line: str
    fill: str
    style: str = "rounded,filled"


CAME = Mark("+", "#1b7f3b", "#dff5e5")
WENT = Mark("−", "#b3261e", "#fde4e2", "rounded,filled,dashed")
CHANGED = Mark("~", "#a86200", "#fff0d2")
MARKS: Mapping[str, Mark] = {"added": CAME, "removed": WENT, "changed": CHANGED}


@frozen(eq=False)
class Marks:
    """The marks of states by id, and of transitions by identity, with what a changed one was.

    :ivar lines: what else to say in a state
    :ivar facts: what to say below, as markup, instead of the facts of the definition
    :ivar title: what to say above, instead of the definition's name
    """

    states: Mapping[str, Mark] = Factory(dict)
    transitions: Mapping[int, Mark] = Factory(dict)
    was: Mapping[int, Phrase] = Factory(dict)
    lines: Mapping[str, Sequence[Phrase]] = Factory(dict)
    facts: Sequence[str] = ()
    title: str = ""

    def of(self, transition: Transition) -> Mark | None:
        """The mark of a transition."""
        return self.transitions.get(id(transition))


def mark_of(marks: set[Mark | None]) -> Mark | None:
    """The mark of an arrow that stands for transitions with these marks."""
    if len(marks) == 1:
        return next(iter(marks))
    return CHANGED if marks - {None} else None
