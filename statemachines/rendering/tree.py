"""A definition as a tree: everything that it says, readable without colour, in a pipe and in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import Factory, frozen
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text
from rich.tree import Tree

from statemachines.language.definition import Definition, Dependency, State, Transition
from statemachines.rendering.columns import GAP, Hanging
from statemachines.rendering.highlight import Highlight
from statemachines.rendering.signs import Signs, signs_for
from statemachines.rendering.words import (
    Part,
    Phrase,
    Role,
    actions_words,
    duration_words,
    event_words,
    history_words,
    invoke_words,
    joined,
    property_words,
    remembered_words,
    timer_words,
    transition_words,
    trigger_words,
    words,
)

STYLES: dict[Role, str] = {
    "word": "",
    "event": "cyan",
    "guard": "yellow",
    "time": "magenta",
    "action": "green",
    "state": "bold",
}
LIT = "bold black on yellow"
Line = tuple[Phrase, Phrase]
"""What stands in the first column, and beside it what may be long."""


def render_tree(definition: Definition, highlight: Highlight | None = None) -> RenderableType:
    """The tree of a definition, to be printed with rich."""
    return DefinitionTree(definition, highlight or Highlight())


@frozen
class DefinitionTree:
    """Draws itself with the marks that the console can show."""

    definition: Definition
    highlight: Highlight = Factory(Highlight)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One rich tree."""
        yield _Drawing(self.definition, signs_for(options), self.highlight).tree()


@frozen
class _Drawing:
    definition: Definition
    signs: Signs
    highlight: Highlight

    def tree(self) -> Tree:
        definition, signs = self.definition, self.signs
        root = Tree(
            Text.assemble((signs.clean(definition.name), "bold"), f", version {definition.version}"),
            guide_style="dim",
        )
        if definition.description:
            root.add(Text(signs.clean(" ".join(definition.description.split()))))
        self._lines(root, list(self._beginning_and_end()))
        legend = f"{signs.initial} initial, {signs.state} other, {signs.final} final"
        states = root.add(self._title("States", legend))
        for state in definition.states:
            self._state(states, state)
        if definition.dependencies:
            dependencies = root.add(self._title("Dependencies"))
            for name, dependency in definition.dependencies.items():
                self._dependency(dependencies, name, dependency)
        self._section(root, "Remembered", self._remembered())
        self._section(root, "Keys", self._keys())
        self._section(root, "Timeouts", self._timeouts())
        self._section(root, "Properties", self._properties())
        self._section(root, "Ignored rules", [(_name(rule), words(why)) for rule, why in definition.ignore.items()])
        return root

    def _beginning_and_end(self) -> Iterator[Line]:
        definition = self.definition
        if definition.starts_on:
            yield words("starts on"), joined((trigger_words(trigger) for trigger in definition.starts_on), " or ")
        yield words("early"), _kept(definition.early, "events wait ", " for their connection", "no event waits")
        yield words("retain"), _kept(definition.retain, "a finished connection is kept ", "", "not kept")

    def _remembered(self) -> list[Line]:
        return [(_name(f"meta.{name}"), remembered_words(it)) for name, it in self.definition.remember.items()]

    def _keys(self) -> list[Line]:
        return [(_name(name), remembered_words(key)) for name, key in self.definition.keys.items()]

    def _timeouts(self) -> list[Line]:
        return [
            (_name(name), (Part(duration_words(seconds), "time"),))
            for name, seconds in self.definition.timeouts.items()
        ]

    def _properties(self) -> list[Line]:
        return [(_name(name), property_words(checked)) for name, checked in self.definition.properties.items()]

    def _state(self, parent: Tree, state: State) -> None:
        marks = [
            mark for mark, is_so in ((self.signs.initial, state.initial), (self.signs.final, state.final)) if is_so
        ]
        regions = ", all at once:" if state.parallel else ""
        title = Text.assemble(" ".join(marks or [self.signs.state]), " ", (state.id, "bold"), regions)
        if self.highlight.has_state(state.id):
            title.append(f"  {self.signs.here}", LIT)
            title.stylize(LIT)
        branch = parent.add(title)
        self._lines(branch, list(self._state_lines(state)))
        for child in state.states:
            self._state(branch, child)

    def _state_lines(self, state: State) -> Iterator[Line]:
        if state.enter:
            yield words("enter"), actions_words(state.enter)
        if state.exit:
            yield words("exit"), actions_words(state.exit)
        for history in state.history:
            yield _name(history.id), history_words(history)
        for invoke in state.invoke:
            yield words("invoke"), invoke_words(invoke)
        if state.defer:
            yield words("defers"), event_words(state.defer)
        for rule, reason in state.ignore.items():
            yield words("ignores"), words(f"{rule}: {reason}")
        for transition in state.transitions:
            yield self._target(state, transition), transition_words(transition, on="on ")
        for after in state.after:
            timer = timer_words(after, self.definition.timeouts)
            yield self._target(state, after.transition), transition_words(after.transition, timer, on="on ")

    def _target(self, state: State, transition: Transition) -> Phrase:
        if transition.target is None:
            return words("stays")
        lit = f" {self.signs.here}" if self.highlight.has_way(state.id, transition.target) else ""
        return (Part(f"{self.signs.arrow} "), Part(transition.target + lit, "state"))

    def _dependency(self, parent: Tree, name: str, dependency: Dependency) -> None:
        required = "required" if dependency.required else "not required"
        branch = parent.add(Text.assemble((name, "bold"), (f" ({required})", "dim")))
        self._lines(
            branch,
            [
                (words(word), (Part("on "), *trigger_words(trigger)))
                for word, triggers in (
                    ("ready", dependency.ready_on),
                    ("lost", dependency.lost_on),
                    ("failed", dependency.failed_on),
                )
                for trigger in triggers
            ],
        )

    def _section(self, parent: Tree, title: str, lines: list[Line]) -> None:
        if lines:
            self._lines(parent.add(self._title(title)), lines)

    def _title(self, title: str, legend: str = "") -> Text:
        return Text.assemble((title, "bold underline"), (f" ({legend})" if legend else "", "dim"))

    def _lines(self, parent: Tree, lines: list[Line]) -> None:
        """Add lines whose second columns begin below each other."""
        heads = [self._text(head) for head, _ in lines]
        column = max((head.cell_len for head in heads), default=0) + GAP
        for head, (_, body) in zip(heads, lines, strict=True):
            parent.add(Hanging(head, self._text(body), column))

    def _text(self, phrase: Phrase) -> Text:
        text = Text()
        for part in phrase:
            text.append(self.signs.clean(part.text), STYLES[part.role])
        return text


def _name(name: str) -> Phrase:
    return (Part(name, "state"),)


def _kept(seconds: float, before: str, after: str, not_at_all: str) -> Phrase:
    if not seconds:
        return words(not_at_all)
    return (Part(before), Part(duration_words(seconds), "time"), Part(after))
