"""Rules that are ignored, with a reason, in the file itself; and the rules about doing so.

``ignore: {rule-name: reason}`` at the top of a file holds for all of it, in a state for that state and all inside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from statemachines.language.names import near
from statemachines.language.places import Placed
from statemachines.language.rules.rule import Finding, rule
from statemachines.language.source import Location

_STATES = "states: {idle: {initial: true, transitions: [{event: call.hangup, target: idle}]}}"


@frozen
class Ignored:
    """A rule that the file says not to apply at ``scope`` and inside it; ``at`` is where it says so."""

    rule: str
    reason: str
    scope: Location
    at: Location

    def covers(self, name: str, location: Location) -> bool:
        return self.rule == name and location[: len(self.scope)] == self.scope


def ignored_in(placed: Placed) -> list[Ignored]:
    """All that a file says to ignore, the innermost first."""
    found = [_ignored(state.state.ignore, state.at) for state in reversed(placed.states)]
    found.append(_ignored(placed.definition.ignore, ()))
    return [one for several in found for one in several]


def _ignored(written: Mapping[str, str], scope: Location) -> list[Ignored]:
    return [Ignored(name, reason, scope, (*scope, "ignore", name)) for name, reason in written.items()]


@rule(
    "unknown-rule",
    "error",
    wrong=f"ignore: {{unconventional-evnt: named by the phone}}\n{_STATES.replace('hangup', 'hung_up')}",
    right=f"ignore: {{unconventional-event: named by the phone}}\n{_STATES}",
)
def unknown_rule(placed: Placed) -> Iterator[Finding]:
    """What is ignored is a rule, and one that a definition can run without."""
    for ignored in ignored_in(placed):
        if ignored.rule in placed.ignorable:
            continue
        if ignored.rule in placed.rules:
            message = f"'{ignored.rule}' cannot be ignored: without it the definition could not run"
        else:
            message = f"there is no rule '{ignored.rule[:60]}'{near(ignored.rule, placed.ignorable)}"
        yield Finding(ignored.at, message, key=True)


@rule(
    "ignore-without-reason",
    "error",
    wrong=f'ignore: {{unconventional-event: ""}}\n{_STATES}',
    right=f"ignore: {{unconventional-event: named by the phone}}\n{_STATES}",
)
def ignore_without_reason(placed: Placed) -> Iterator[Finding]:
    """Whoever ignores a rule says why, for whoever reads it later."""
    for ignored in ignored_in(placed):
        if not ignored.reason.strip():
            yield Finding(ignored.at, f"say why '{ignored.rule[:60]}' is ignored: the reason is empty", key=True)


@rule(
    "unused-ignore",
    "warning",
    wrong=f"ignore: {{unconventional-event: named by the phone}}\n{_STATES.replace('hangup', 'hung_up')}",
    right=f"ignore: {{unconventional-event: named by the phone}}\n{_STATES}",
    needs="findings",
)
def unused_ignore(placed: Placed) -> Iterator[Finding]:
    """A rule that is ignored would find something there, or what was excused has long been mended."""
    for ignored in placed.idle_ignores:
        where = "there" if ignored.scope else "in this file"
        message = f"'{ignored.rule}' finds nothing {where}, so that there is nothing to ignore: remove it"
        yield Finding(ignored.at, message, key=True)


RULES = (unknown_rule, ignore_without_reason, unused_ignore)
