"""What a rule is: a named check over a definition, with why it exists and an example of each side.

A rule is a function that yields findings, made a :class:`Rule` by the decorator :func:`rule`. Its docstring is what
``phasebus validate --explain`` says of it; its examples are run by a test: the wrong one breaks this rule and no other,
the right one none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Literal

from attrs import frozen

from statemachines.language.places import Placed
from statemachines.language.source import Location

Severity = Literal["error", "warning"]
Needs = Literal["part", "chart", "sound", "findings"]
"""What a rule needs before it can judge.

``part`` judges each part for itself, whatever is wrong with others. ``chart`` judges the chart as a whole, and so only
when no part had to be taken out. ``sound`` asks how guards come out, which takes a definition without errors.
``findings`` judges what all others have found.
"""

_FIRST_LINES = "name: call\n"


@frozen
class Finding:
    """What a rule found at ``location``; ``key`` points at its key, ``offset`` into its text."""

    location: Location
    message: str
    key: bool = False
    offset: int | None = None


Check = Callable[[Placed], Iterator[Finding]]


@frozen
class Rule:
    """A named check. ``source`` says where the rule comes from, if it is not of phasebus alone.

    An error refuses the file, a warning does not. What only judges may be ignored in the file, with a reason; what a
    definition cannot run without (``ignorable`` is false) may not.
    """

    name: str
    severity: Severity
    explanation: str
    wrong: str
    right: str
    check: Check
    needs: Needs = "part"
    ignorable: bool = False
    source: str = ""

    @property
    def summary(self) -> str:
        """The first sentence of the explanation."""
        return self.explanation.partition("\n")[0]


def rule(
    name: str,
    severity: Severity,
    *,
    wrong: str,
    right: str,
    needs: Needs = "part",
    ignorable: bool = False,
    source: str = "",
) -> Callable[[Check], Rule]:
    """Make a rule of a function that yields findings; the examples may leave out the definition's name."""

    def made(check: Check) -> Rule:
        explanation = inspect.cleandoc(check.__doc__ or name)
        return Rule(name, severity, explanation, _example(wrong), _example(right), check, needs, ignorable, source)

    return made


def _example(text: str) -> str:
    text = dedent(text).strip("\n") + "\n"
    return text if text.startswith("name:") else _FIRST_LINES + text
