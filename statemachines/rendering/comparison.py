"""Two versions of a definition, for people: what changed, as a tree, and what becomes of each connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text
from rich.tree import Tree

from statemachines.comparison.changes import Change
from statemachines.comparison.result import VERDICTS, Comparison, Difference, Fate, Verdict
from statemachines.language.definition import Definition
from statemachines.rendering.changes import by_state, change_data, change_phrases
from statemachines.rendering.columns import GAP, Hanging
from statemachines.rendering.exploration import step_words
from statemachines.rendering.payloads import Payloads
from statemachines.rendering.signs import Signs, signs_for
from statemachines.rendering.tree import STYLES
from statemachines.rendering.words import Part, Phrase, words

MAX_CONNECTIONS = 20
_STYLES: Mapping[str, str] = {"added": "green", "removed": "red", "changed": "yellow"}
_SIGNS: Mapping[str, str] = {"added": "+", "removed": "-", "changed": "~"}
_VERDICT_STYLES: Mapping[Verdict, str] = {
    "same": "green",
    "changed": "yellow",
    "gone": "bold red",
    "undecided": "yellow",
}
_ORDER: tuple[Verdict, ...] = ("gone", "changed", "undecided", "same")
_INDENT = 6


def comparison_data(found: Comparison, old: Definition, new: Definition) -> dict[str, Any]:
    """The JSON of ``phasebus diff``."""
    told = [change_data(change, old.timeouts, new.timeouts) for change in found.changes]
    return {**found.to_dict(), "changes": told}


@frozen
class ComparisonReport:
    """All of it, for a terminal or a file."""

    comparison: Comparison
    old: Definition
    new: Definition

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The changes, then what becomes of connections, the worst first."""
        yield from _Writer(self.comparison, self.old, self.new, signs_for(options), options.max_width).lines()


@frozen
class _Writer:
    found: Comparison
    old: Definition
    new: Definition
    signs: Signs
    width: int

    def lines(self) -> Iterator[Any]:
        yield self._title()
        for warning in self.found.warnings:
            yield Text(self.signs.clean(f"warning: {warning}"), "yellow")
        yield Text()
        yield self._tree() if self.found.changes else Text("Nothing changed.", "green")
        yield Text()
        yield self._covered()
        yield Text()
        yield from self._configurations()
        if self.found.connections is not None:
            yield Text()
            yield from self._connections()
        for note in self.found.notes:
            yield Text(self.signs.clean(f"note: {note}"), "dim")

    def _title(self) -> Text:
        found, arrow = self.found, self.signs.arrow
        if found.old_name != found.new_name:
            title = (
                f"{found.old_name}, version {found.old_version} {arrow} {found.new_name}, version {found.new_version}"
            )
        elif found.old_version != found.new_version:
            title = f"{found.new_name}, version {found.old_version} {arrow} {found.new_version}"
        else:
            title = f"{found.new_name}, version {found.new_version}"
        return Text(self.signs.clean(title), "bold")

    # -- what changed --

    def _tree(self) -> Tree:
        title = Text.assemble(("Changes", "bold underline"), ("  + came, - went, ~ changed", "dim"))
        root = Tree(title, guide_style="dim")
        for state, changes in by_state(self.found.changes).items():
            if not state:
                self._add(root, changes)
                continue
            itself = next((change for change in changes if change.what == "state"), None)
            kind = "changed" if itself is None else itself.kind
            head = Text(self.signs.clean(f"{_SIGNS[kind]} {state}"), f"bold {_STYLES[kind]}")
            inner = [change for change in changes if change is not itself]
            if itself is not None:
                head.append_text(self._told_of(itself))
            self._add(root.add(head), inner)
        return root

    def _told_of(self, change: Change) -> Text:
        before, after = change_phrases(change, self.old.timeouts, self.new.timeouts)
        told = after or before
        said = self._text((*words("  "), *told)) if told else Text()
        if before and after:
            said.append_text(self._text((*words(", was "), *before)))
        return said

    def _add(self, parent: Tree, changes: Sequence[Change]) -> None:
        """Add lines whose second columns begin below each other."""
        told = [(self._head(change), change) for change in changes]
        column = max((head.cell_len for head, _ in told), default=0) + GAP
        for head, change in told:
            before, after = change_phrases(change, self.old.timeouts, self.new.timeouts)
            lines = [Hanging(head, self._text(after or before or ()), column)]
            if before and after:
                lines.append(Hanging(Text("  was", "dim"), self._text(before), column))
            parent.add(Group(*lines))

    def _head(self, change: Change) -> Text:
        if change.name == "order":
            name = f"{change.what}s in another order"
        elif change.what in ("action", "definition"):
            name = change.name
        else:
            name = " ".join(part for part in (change.what, change.name) if part)
        return Text(self.signs.clean(f"{_SIGNS[change.kind]} {name}"), _STYLES[change.kind])

    def _text(self, phrase: Phrase) -> Text:
        text = Text()
        for part in phrase:
            text.append(self.signs.clean(_arrows(part, self.signs)), STYLES[part.role])
        return text

    # -- what becomes of connections --

    def _covered(self) -> Text:
        found = self.found
        text = Text.assemble(
            ("Living connections", "bold underline"),
            f"  {_count(found.cases, 'case')} of {self.signs.clean(found.old_name)}, "
            f"{_count(found.pairs, 'pair')} compared in {found.seconds:.1f} s. ",
        )
        if found.complete:
            return text.append("That is all of it.", "green")
        return text.append(f"Not all of it: {found.why_cut}.", "yellow")

    def _configurations(self) -> Iterator[Any]:
        told: list[tuple[str, Fate]] = [
            (self._where(one.configuration, one.phase), one.fate) for one in self.found.configurations
        ]
        told.append(("(a new connection)", self.found.registered))
        yield from self._fates(told)

    def _where(self, configuration: Sequence[str], phase: str) -> str:
        """The phase, with the configuration where the same phase has several."""
        several = [one for one in self.found.configurations if one.phase == phase]
        return phase if len(several) == 1 else f"{phase} [{', '.join(configuration)}]"

    def _connections(self) -> Iterator[Any]:
        connections = self.found.connections or ()
        verdicts = self.found.verdicts()
        counts = ", ".join(f"{verdicts[one]:,} {one}" for one in VERDICTS if verdicts[one])
        yield Text.assemble((_count(len(connections), "connection"), "bold"), f" alive: {counts or 'none'}")
        told = [(one.connection_id, one.fate) for one in connections if one.fate.verdict != "same"]
        told.sort(key=lambda one: _ORDER.index(one[1].verdict))
        yield from self._fates(told[:MAX_CONNECTIONS])
        if len(told) > MAX_CONNECTIONS:
            yield Text(f"  {self.signs.more} and {len(told) - MAX_CONNECTIONS:,} more (--json has them all)", "dim")

    def _fates(self, told: Sequence[tuple[str, Fate]]) -> Iterator[Any]:
        for name, fate in sorted(told, key=lambda one: _ORDER.index(one[1].verdict)):
            verdict = fate.verdict
            yield Text.assemble(
                "  ",
                (f"{self._sign(verdict)} {verdict:<9}", _VERDICT_STYLES[verdict]),
                "  ",
                (self.signs.clean(name), "bold"),
                (self._share(fate), "dim"),
            )
            for why in fate.why:
                yield Hanging(Text(), Text(self.signs.clean(why), "red"), _INDENT)
            if fate.difference is not None:
                yield from self._difference(fate.difference)

    def _share(self, fate: Fate) -> str:
        """How the cases part, if they do."""
        parted = [f"{fate.cases[one]:,} {one}" for one in _ORDER if fate.cases[one]]
        return f"  {', '.join(parted)}" if len(parted) > 1 else ""

    def _sign(self, verdict: Verdict) -> str:
        return {"same": self.signs.good, "changed": "~", "gone": self.signs.bad, "undecided": "?"}[verdict]

    def _difference(self, difference: Difference) -> Iterator[Hanging]:
        if difference.way:
            way = ", ".join(step_words(step) for step in difference.way)
            yield self._beside("is there after", way, "dim")
        events = ", ".join(step_words(step) for step in difference.events)
        yield self._beside("then", events or "(nothing: they are apart at once)", "cyan")
        yield self._beside("before", "; ".join(difference.old), "")
        yield self._beside("now", "; ".join(difference.new), "yellow")

    def _beside(self, head: str, text: str, style: str) -> Hanging:
        said = Payloads(self.signs).text(text)
        return Hanging(Text(" " * _INDENT + head, "dim"), Text(said, style), _INDENT + 16)


def _arrows(part: Part, signs: Signs) -> str:
    return part.text.replace("→", signs.arrow) if part.role == "word" else part.text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
