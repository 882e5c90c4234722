"""How guards can come out: the question that some rules ask, and that the table answers.

The language parses expressions and never evaluates one: that is the table's, and a second evaluator would be one that
can disagree. So whoever checks a file hands the answer in.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from statemachines.language.definition import Definition
from statemachines.language.expressions import Expression


@frozen
class Asked:
    """Where guards are asked: while ``state`` is active (None: anywhere), about one of ``events`` (none: about any)."""

    state: str | None = None
    events: tuple[str, ...] = ()


Outcomes = frozenset[tuple[bool, ...]]

Truth = Callable[[tuple[Expression, ...], Asked], Outcomes | None]
"""Every way in which guards that are asked together can come out; None if that cannot be told for sure."""

MakeTruth = Callable[[Definition], Truth]
