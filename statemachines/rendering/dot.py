"""A definition as a Graphviz graph: what ``dot`` lays out, and what the SVG and PNG pictures are made of.

Compound states are clusters, regions are clusters behind dashed lines, histories circles. Transitions between the same
two states share one arrow, so that a definition of many stays readable: one line of text each. Shape, line and weight
carry what colour does, so a picture printed in grey says as much: a heavy arrow is the main path (``main_path``), a
dashed one is taken by a timer alone, a double border is a final state, a black dot is where a state begins.

Graphviz draws arrows between nodes only. One that begins or ends at a compound state is drawn from or to a node inside
it and cut at its border (``ltail``, ``lhead``); one from a compound state to a state inside it
begins at the words "any state inside".
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import Factory, define, field, frozen

from statemachines.language.definition import Definition, History, State, Transition
from statemachines.rendering.dot_labels import EDGE_WIDTH, STATE_WIDTH, bold, lines, quoted, small, table
from statemachines.rendering.facts import fact_lines
from statemachines.rendering.highlight import Highlight
from statemachines.rendering.main_path import main_path
from statemachines.rendering.marks import Mark, Marks, mark_of
from statemachines.rendering.words import (
    Part,
    Phrase,
    actions_words,
    event_words,
    invoke_words,
    timer_words,
    transition_words,
    words,
)

_FONT = "Arial"
_LIGHT, _MIDDLE, _FINAL, _LIT, _LIT_AROUND = "#ffffff", "#f3f6fb", "#e2e2e2", "#ffd54f", "#fff2c4"
_GREY, _BLACK, _LIT_LINE = "#707070", "#101010", "#c43e00"
_MANY_STATES = 100
"""Beyond so many, arrows are straight: curves around everything else took 20 s for 200 states, lines 0.3 s."""
_HEAD = f"""\
  graph [compound=true, rankdir=TB, nodesep=0.3, ranksep=0.45, fontname="{_FONT}", fontsize=13, pad=0.2]
  node [shape=box, style="rounded,filled", fillcolor="{_LIGHT}", color="{_BLACK}", fontname="{_FONT}", fontsize=13,
    margin="0.1,0.05"]
  edge [fontname="{_FONT}", fontsize=10, color="{_GREY}", arrowsize=0.8]"""


def render_dot(
    definition: Definition,
    highlight: Highlight | None = None,
    marks: Marks | None = None,
    *,
    name_arrows: bool = False,
) -> str:
    """The graph, ending with a newline. The same definition always gives the same text.

    ``marks`` set apart what came, went or changed, and say so in words and lines as well as in colour. With
    ``name_arrows`` each arrow has the id that :func:`arrow_id` tells, for whoever wants to find it in the SVG.
    """
    graph = _Graph(definition, highlight or Highlight(), marks or Marks(), name_arrows)
    return "\n".join(graph.lines()) + "\n"


def arrow_id(source: str, target: str) -> str:
    """The id of the arrow from one state to another, or to a history."""
    return f"way:{source}:{target}"  # no state's id has a colon


@define
class _Arrow:
    """All transitions from one state to one target."""

    source: str
    target: str
    labels: list[Phrase] = Factory(list)
    only_timers: bool = True
    marks: set[Mark | None] = Factory(set)


@frozen
class _Graph:
    definition: Definition
    highlight: Highlight
    marks: Marks
    name_arrows: bool
    states: dict[str, State] = field(init=False)
    parents: dict[str, str | None] = field(init=False)
    order: dict[str, int] = field(init=False)
    main: Highlight = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "states", {state.id: state for state in self.definition.walk()})
        parents = self.definition.parents()
        parents |= {history.id: state.id for state, history in self.definition.histories()}
        object.__setattr__(self, "parents", parents)
        order = {name: number for number, name in enumerate(self.states)}
        order |= {history.id: order[history.target] for _, history in self.definition.histories()}
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "main", main_path(self.definition))

    def lines(self) -> Iterator[str]:
        definition = self.definition
        yield f"digraph {quoted(definition.name)} {{"
        yield _HEAD
        title = [bold(self.marks.title or f"{definition.name}, version {definition.version}", 18)]
        if definition.description:
            title.append(lines(words(" ".join(definition.description.split())), 90))
        if len(self.states) > _MANY_STATES:
            yield "  splines=line"
        yield f'  subgraph "cluster_" {{ penwidth=0; style=filled; fillcolor="{_LIGHT}"'
        yield f"    label={table(title)}; labeljust=l"
        yield from self._inside(self.definition.states, "", "    ")
        yield "  }"
        for arrow in self._arrows():
            yield self._arrow(arrow)
        facts = table(small(line) for line in self.marks.facts or fact_lines(definition))
        yield f"  label={facts}; labelloc=b; labeljust=l"
        yield "}"

    def _inside(self, states: tuple[State, ...], owner: str, pad: str) -> Iterator[str]:
        """Where a state, or the chart, begins, and the states inside it."""
        initial = next((state for state in states if state.initial), None)
        if initial is not None:
            yield f'{pad}{_start(owner)} [shape=circle, label="", width=0.14, fixedsize=true, fillcolor="{_BLACK}"]'
            head = self._end(initial.id, "lhead")
            main = any(self._holds(initial.id, name) for name in self.main.states)
            yield f"{pad}{_start(owner)} -> {head.node} [{_listed(head.cut, *self._line(main, False))}]"
        for state in states:
            yield from self._state(state, pad)

    def _state(self, state: State, pad: str) -> Iterator[str]:
        title = f"{state.id} (all at once)" if state.parallel else state.id
        mark = self.marks.states.get(state.id)
        title = title if mark is None else f"{mark.sign} {title}"
        label = table([bold(title), *(small(line) for line in self._does(state))])
        is_region = self._is_region(state)
        if not state.states and not is_region:
            yield f"{pad}{quoted(state.id)} [{_listed(f'label={label}', *self._looks(state))}]"
            return
        yield f"{pad}subgraph {_cluster(state.id)} {{"
        inside = pad + "  "
        lit = self.highlight.has_state(state.id)
        style = "rounded,filled,dashed" if is_region else "rounded,filled"
        line = _LIT_LINE if lit else mark.line if mark else _GREY if is_region else _BLACK
        fill = _LIT_AROUND if lit else mark.fill if mark else _MIDDLE if self._depth(state.id) % 2 else _LIGHT
        yield f'{inside}style="{style}"; color="{line}"; penwidth={2.5 if lit or mark else 1}; fillcolor="{fill}"'
        yield f"{inside}label={label}; labeljust=l"
        if not state.states:  # a region without states of its own
            yield f'{inside}{_start(state.id)} [shape=circle, label="", width=0.14, fixedsize=true]'
        yield from self._inside(state.states, state.id, inside)
        if any(t.target is not None and self._holds(state.id, t.target) for t, _ in self._moves(state)):
            said = 'label=<<i>any state inside</i>>, fontsize=10, fillcolor="none", penwidth=0, height=0.2'
            yield f"{inside}{_any(state.id)} [{said}]"
        for history in state.history:
            yield from self._history(history, inside)
        yield f"{pad}}}"

    def _does(self, state: State) -> Iterator[str]:
        """What a state does while nothing leaves it, a line each."""
        if state.enter:
            yield lines((Part("enter / "), *actions_words(state.enter)), STATE_WIDTH)
        if state.exit:
            yield lines((Part("exit / "), *actions_words(state.exit)), STATE_WIDTH)
        for invoke in state.invoke:
            yield lines((Part("invoke / "), *invoke_words(invoke)), STATE_WIDTH)
        if state.defer:
            yield lines((Part("defers "), *event_words(state.defer)), STATE_WIDTH)
        for transition, timer in self._moves(state):
            if transition.target is None:
                stays = (Part("stays "), *transition_words(transition, timer, on="on "))
                yield lines(self._signed(transition, stays), STATE_WIDTH)
        for line in self.marks.lines.get(state.id, ()):
            yield lines(line, STATE_WIDTH)

    def _signed(self, transition: Transition, phrase: Phrase) -> Phrase:
        """The words of a transition, with the sign of what became of it and what it was."""
        mark = self.marks.of(transition)
        if mark is None:
            return phrase
        return (Part(f"{mark.sign} "), *phrase, *self.marks.was.get(id(transition), ()))

    def _moves(self, state: State) -> Iterator[tuple[Transition, Phrase]]:
        """The transitions of a state, each with the words of its timer, if it is one's."""
        yield from ((transition, ()) for transition in state.transitions)
        yield from ((after.transition, timer_words(after, self.definition.timeouts)) for after in state.after)

    def _looks(self, state: State) -> Iterator[str]:
        if state.final:
            yield "peripheries=2"
        if self.highlight.has_state(state.id):
            yield f'fillcolor="{_LIT}", color="{_LIT_LINE}", penwidth=2.5'
        elif (mark := self.marks.states.get(state.id)) is not None:
            yield f'fillcolor="{mark.fill}", color="{mark.line}", penwidth=2.5, style="{mark.style}"'
        elif state.final:
            yield f'fillcolor="{_FINAL}"'
        elif state.id in self.main.states:
            yield "penwidth=2"

    def _history(self, history: History, pad: str) -> Iterator[str]:
        sign = "H*" if history.type == "deep" else "H"
        name = table([bold(sign, 12), small(lines((Part(history.id),), STATE_WIDTH))])
        yield f"{pad}{quoted(history.id)} [shape=ellipse, label={name}]"
        head = self._end(history.target, "lhead")
        looks = _listed(head.cut, "style=dotted", 'label="first"')
        yield f"{pad}{quoted(history.id)} -> {head.node} [{looks}]"

    def _arrows(self) -> Iterator[_Arrow]:
        found: dict[tuple[str, str], _Arrow] = {}
        for state in self.definition.walk():
            for transition, timer in self._moves(state):
                if transition.target is not None:
                    key = (state.id, transition.target)
                    arrow = found.setdefault(key, _Arrow(*key))
                    arrow.labels.append(self._signed(transition, transition_words(transition, timer)))
                    arrow.only_timers &= bool(timer)
                    arrow.marks.add(self.marks.of(transition))
        yield from found.values()

    def _arrow(self, arrow: _Arrow) -> str:
        tail, head = self._ends(arrow.source, arrow.target)
        label = f"label={table([small(lines(phrase, EDGE_WIDTH)) for phrase in arrow.labels], 2)}"
        key = (arrow.source, arrow.target)
        looks = [*self._line(key in self.main.ways, key in self.highlight.ways)]
        if arrow.only_timers:
            looks.append("style=dashed")
        if self.name_arrows:
            looks.append(f"id={quoted(arrow_id(*key))}")
        mark = mark_of(arrow.marks)
        if mark is not None:
            looks.append(f'color="{mark.line}", penwidth=2.5')
        if self.order[arrow.target] < self.order[arrow.source]:
            # Told to Graphviz the other way round: what comes later in the file is to stand further down.
            cuts = (head.cut.replace("lhead", "ltail"), tail.cut.replace("ltail", "lhead"))
            return f"  {head.node} -> {tail.node} [{_listed(label, *cuts, *looks, 'dir=back')}]"
        return f"  {tail.node} -> {head.node} [{_listed(label, tail.cut, head.cut, *looks)}]"

    def _line(self, main: bool, lit: bool) -> Iterator[str]:
        if lit:
            yield f'color="{_LIT_LINE}", penwidth=3'
        elif main:
            yield f'color="{_BLACK}", penwidth=2.5'
        if main:  # lit or not, so that the same definition is laid out the same way
            yield "weight=8"

    def _ends(self, source: str, target: str) -> tuple[_End, _End]:
        """Where an arrow begins and ends. Graphviz cannot cut it at a cluster that holds both its ends."""
        tail, head = self._end(source, "ltail"), self._end(target, "lhead")
        if self._holds(target, source):
            head = _End(self._anchor(target))
        if self._holds(source, target):
            tail = _End(_any(source) if self._is_cluster(self.states[source]) else tail.node)
        return tail, head

    def _end(self, name: str, side: str) -> _End:
        state = self.states.get(name)
        if state is None or not self._is_cluster(state):
            return _End(quoted(name))
        node = self._last(state) if side == "ltail" else self._anchor(name)
        return _End(node, f"{side}={_cluster(name)}")

    def _anchor(self, name: str) -> str:
        """The node that stands for a state: its own, or the dot where it begins."""
        state = self.states.get(name)
        if state is None or not self._is_cluster(state):
            return quoted(name)
        if state.parallel or not any(child.initial for child in state.states):
            return self._anchor(state.states[0].id) if state.states else _start(name)
        return _start(name)

    def _last(self, state: State) -> str:
        """The node inside from which an arrow that leaves a compound state is drawn."""
        if state.states:
            return self._last(state.states[-1])
        return self._anchor(state.id)

    def _is_cluster(self, state: State) -> bool:
        return bool(state.states) or self._is_region(state)

    def _is_region(self, state: State) -> bool:
        parent = self.parents[state.id]
        return parent is not None and self.states[parent].parallel

    def _holds(self, outer: str, inner: str) -> bool:
        """Whether a state is another or is around it."""
        current: str | None = inner
        while current is not None:
            if current == outer:
                return True
            current = self.parents[current]
        return False

    def _depth(self, name: str) -> int:
        parent = self.parents[name]
        return 1 + (self._depth(parent) if parent is not None else 0)


@frozen
class _End:
    """An end of an arrow: a node, and the attribute that cuts the arrow at a cluster's border."""

    node: str
    cut: str = ""


def _start(owner: str) -> str:
    return quoted(f"{owner}:begins")  # no state's id has a colon


def _any(owner: str) -> str:
    return quoted(f"{owner}:any")


def _cluster(state: str) -> str:
    return quoted(f"cluster_{state}")


def _listed(*attributes: str) -> str:
    return ", ".join(attribute for attribute in attributes if attribute)
