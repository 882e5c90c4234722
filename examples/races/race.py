"""One of the races: its files, and what exploring says about them."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen

from statemachines import Definition, load_definition
from statemachines.exploration import Exploration, explore
from statemachines.language.traffic import load_traffic

FOLDER = Path(__file__).parent
_TITLE = re.compile(r"\A# (.+)\n")
_ENDING = re.compile(r"^\*\*How the YAML ends it\.\*\* (.+?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


@frozen
class Race:
    """A folder of this one, by its name."""

    name: str

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.name

    @property
    def page(self) -> str:
        """What happened, where, why, and how the YAML ends it."""
        return (self.folder / "README.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """What the page calls it."""
        found = _TITLE.search(self.page)
        assert found is not None, f"{self.name}: the page begins with a title"
        return found[1]

    @property
    def ending(self) -> str:
        """How the YAML ends it, on one line."""
        found = _ENDING.search(self.page)
        assert found is not None, f"{self.name}: the page says how the YAML ends it"
        return " ".join(found[1].split())

    def path(self, kind: str) -> Path:
        """The definition that is ``mistaken``, or ``mended``."""
        return self.folder / f"{kind}.yaml"

    @property
    def traffic(self) -> Path:
        """What both are explored with."""
        return self.folder / "calls.traffic.yaml"

    def definition(self, kind: str) -> Definition:
        """As :meth:`path`, loaded."""
        return load_definition(self.path(kind))

    def explored(self, kind: str) -> Exploration:
        """All that the traffic can bring one of the two to."""
        definition = self.definition(kind)
        return explore(definition, traffic=load_traffic(self.traffic, definition))


RACES = tuple(
    Race(name)
    for name in (
        # of the gateway that phasebus comes from
        "checked_then_subscribed",
        "answer_before_call_id",
        "signal_before_its_channel",
        "opened_after_the_end",
        "accept_refused",
        "greeting_twice",
        "ended_by_nobody",
        "broadcast_lost",
        "same_call_twice",
        # from public threads
        "talks_before_media",
        "snapshot_then_stream",
        "listener_too_late",
        "one_gate_for_several",
        "stasis_start_order",
        "cancel_crosses_200_ok",
    )
)
"""All of them, as the table has them."""
