"""What scenarios came to, line by line, for people: from the same objects that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from statemachines.rendering.signs import signs_for

_KINDS = {"states": "states", "transitions": "transitions", "guard_outcomes": "guard outcomes"}


class OutcomeLines:
    """Prints each object as it comes, and a summary at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._signs = signs_for(console.options)

    def add(self, told: Mapping[str, Any]) -> None:
        """Tell of one more thing."""
        match told["kind"]:
            case "scenario":
                self._scenario(told)
            case "coverage":
                self._coverage(told)
            case "covering":
                self._covering(told)
            case "mutation":
                self._mutation(told)
            case "summary":
                self._summary(told)

    def _scenario(self, told: Mapping[str, Any]) -> None:
        name = f"{told['definition']} {told['name']}".strip()
        if told["ok"]:
            nothing = "" if told["expectations"] else "  expects nothing"
            self._line(Text.assemble((f"{self._signs.good} ", "green"), self._signs.clean(name), (nothing, "yellow")))
            return
        what = "cannot be run" if told["refused"] else "failed"
        self._line(Text.assemble((f"{self._signs.bad} {self._signs.clean(name)}", "bold red"), (f"  {what}", "red")))
        for failure in told["failures"]:
            self._line(Text(f"    {self._signs.clean(failure)}", "red"))

    def _coverage(self, told: Mapping[str, Any]) -> None:
        self._line(Text())
        parts = (f"{told[key]['percent']:g} % of {told[key]['total']} {words}" for key, words in _KINDS.items())
        self._line(Text.assemble((told["definition"], "bold"), f" covered: {', '.join(parts)}"))
        for key, words in _KINDS.items():
            self._list(f"{words} not covered", told[key]["missing"])

    def _covering(self, told: Mapping[str, Any]) -> None:
        parts = (f"{told[key]['percent']:g} % of {told[key]['total']} {words}" for key, words in _KINDS.items())
        many = f" {told['scenarios']} scenarios of {told['steps']} steps cover "
        self._line(Text.assemble((told["definition"], "bold"), f":{many}{', '.join(parts)}"))
        for key, words in _KINDS.items():
            self._list(f"{words} not covered", [f"{one['what']} ({one['why']})" for one in told[key]["missing"]])

    def _mutation(self, told: Mapping[str, Any]) -> None:
        self._line(Text())
        noticed = f" mutants: {told['noticed']} of {told['mutants']} noticed"
        self._line(Text.assemble((told["definition"], "bold"), noticed))
        self._list("no scenario notices", [f"{one['part']}: {one['change']}" for one in told["survivors"]])

    def _list(self, heading: str, items: list[str]) -> None:
        if items:
            self._line(Text(f"  {heading}:", "yellow"))
        for item in items:
            self._line(Text(f"    {self._signs.clean(item)}"))

    def _summary(self, told: Mapping[str, Any]) -> None:
        self._line(Text())
        good = told["passed"] == told["scenarios"]
        rest = [f"{told[word]} {words}" for word, words in (("failed", "failed"), ("refused", "not run")) if told[word]]
        counts = ", ".join([f"{told['passed']} of {told['scenarios']} scenarios hold", *rest])
        sign = self._signs.good if good else self._signs.bad
        self._line(Text(f"{sign} {counts}", "green" if good else "bold red"))

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)
