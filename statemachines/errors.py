"""The errors of definitions and lifecycles; all of them are :class:`bus.PhasebusError`."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

from attrs import asdict, frozen

from bus.errors import PhasebusError


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'ready'?)`` when a known name is near, else nothing."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


@frozen(order=True)
class Problem:
    """One thing wrong in a file, at a place that an editor can jump to. Lines and columns count from 1.

    ``rule`` names the rule that found it, which ``phasebus validate --explain`` explains. It is empty if the file
    cannot be read, or holds a key or value that the language does not know.
    """

    path: str
    line: int
    column: int
    severity: Literal["error", "warning"]
    message: str
    rule: str = ""

    def to_dict(self) -> dict[str, str | int | None]:
        """The problem as one JSON object; ``rule`` is null where there is none."""
        return {**asdict(self), "rule": self.rule or None}

    def __str__(self) -> str:
        rule = f" [{self.rule}]" if self.rule else ""
        return f"{self.path}:{self.line}:{self.column}: {self.severity}: {self.message}{rule}"


class DefinitionError(PhasebusError):
    """A definition, scenario or event file was refused. ``problems`` holds every one of its errors and warnings."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ExpressionError(PhasebusError):
    """A guard or value outside the grammar; ``offset`` is where in its text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class UnknownRule(PhasebusError):
    """A rule of ``phasebus validate`` that does not exist."""


class UnknownConnection(PhasebusError):
    """No connection of that id is registered, or it has ended and been forgotten."""


class DuplicateConnection(PhasebusError):
    """The id (or a key such as ``call_id``) belongs to a connection that still lives or is still retained."""


class UnknownDependency(PhasebusError):
    """A dependency that the definition does not declare."""


class UnknownTimeout(PhasebusError):
    """A registration overrides a timeout that the definition does not name."""


class UnknownHook(PhasebusError):
    """A hook that no action of the definition calls."""


class UnknownPhase(PhasebusError):
    """A phase that is no state of the definition."""


class ConnectionEnded(PhasebusError):
    """The connection ended without reaching what was waited for."""


class LifecycleClosed(PhasebusError):
    """The lifecycle is not running: it was closed, or never entered with ``async with``."""


class StepNeverSettles(PhasebusError):
    """Eventless transitions go in a circle; the step was cut and the connection left where it was."""


class PictureError(PhasebusError):
    """A picture could not be drawn: no layout engine is there, or it failed."""


class CannotPlay(PhasebusError):
    """A scenario that the page of a definition has no steps for."""


class CannotExport(PhasebusError):
    """Something of a definition that the other notation has no words for, so that it would go another way there."""
