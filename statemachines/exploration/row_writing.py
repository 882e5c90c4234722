"""Writes down what was learnt while cases were tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define, evolve, field

from statemachines.exploration.events import Symbol
from statemachines.exploration.making import event_of
from statemachines.exploration.moves import Chart, Learnt, Moved
from statemachines.exploration.reading import triggers_of
from statemachines.exploration.row_search import NotingMoves, Tried
from statemachines.exploration.rows import Bound, ChartRows, FactRows, Field, Key, Outcome, Playable, Told, Writes
from statemachines.exploration.telling import reads_event_alone
from statemachines.language.definition import Definition
from statemachines.table.step import CREATED, Step, dependency_status
from statemachines.table.table import CallEffect

STATUSES = ("pending", "ready", "failed")


@define
class Writer:
    """Writes down what was learnt."""

    definition: Definition
    moves: NotingMoves
    found: Tried
    fields: list[Field] = field(init=False)

    def written(self) -> Playable:
        moves, found = self.moves, self.found
        self.fields = list(self._fields())
        charts: dict[Chart, int] = {}
        rows: dict[int, dict[int, FactRows]] = {}
        for (label, around), group in moves._single.items():
            written = {
                self._key(bits, group.mask): self._fact_row(bits, learnt, charts)
                for bits, learnt in group.known.items()
            }
            reads = self._reads(group.mask)
            rows.setdefault(label, {})[self.fields[0].of(around)] = FactRows(reads, written)
        chart_rows = tuple(self._chart(chart) for chart in charts)
        bound = Bound(
            found.tried,
            len(found.cases),
            sum(len(chart.rows) for chart in chart_rows),
            found.complete,
            found.depths[min(found.tried, len(found.depths) - 1)],
        )
        beside, unseen = self._beside()
        layout = moves.steps.layout
        return Playable(
            self.definition,
            tuple(name for name, bit in layout.bits.items() if moves.cases.required & bit),
            layout.timers,
            tuple(self.fields),
            self._start(),
            tuple(moves.labels),
            rows,
            chart_rows,
            self._phases(),
            frozenset(number for number, _ in enumerate(self.fields[0].values) if self._is_end(number)),
            tuple(self._transitions()),
            beside,
            unseen,
            bound,
        )

    def _start(self) -> Outcome:
        moves = self.moves
        identity, created = moves.cases.record(0).identity, event_of(Symbol(CREATED, {}))
        step = moves.steps.register(identity, moves.cases.required, created, at=0.0, now=0.0)
        return self._outcome([step], 0, moves.start() & ~moves.timers_mask)

    def _fields(self) -> Iterator[Field]:
        cases, layout = self.moves.cases, self.moves.steps.layout
        for part in cases.active:
            yield Field("active", part.name, part.shift, part.width, tuple(part.values))
        for numbers, part in cases._histories:
            name = ", ".join(layout.ids[layout.histories[number][0]] for number in numbers)
            yield Field("history", name, part.shift, part.width, tuple(part.values))
        for bits in cases._dependencies:
            name = next(name for name, bit in layout.bits.items() if bit == bits.bit)
            yield Field("dependency", name, bits.ready.bit_length() - 1, 2 if bits.failed else 1, STATUSES)
        for number, remembered in cases._remembered:
            yield Field(
                "remembered", layout.remembered[number], remembered.shift, remembered.width, tuple(remembered.values)
            )
        for number, shift, width, _ in cases._visits:
            yield Field("visits", layout.ids[layout.visited[number]], shift, width)
        if cases.words is not None:
            words = cases.words.part
            values = tuple(tuple(event.type for event in waiting) for waiting in words.values)
            yield Field("deferred", "events that wait", words.shift, words.width, values)
        yield Field("heard", "events that come back", cases.heard.shift, cases.heard.width, self._heard())

    def _heard(self) -> tuple[Any, ...]:
        """For each queue of own events that come back, the label of the first and the queue without it."""
        moves, heard = self.moves, self.moves.cases.heard
        found: list[Any] = []
        for queue in heard.values:
            label = moves._heard_symbols.get(queue[0].key) if queue else None
            rest = heard._numbers.get(tuple(one.key for one in queue[1:])) if queue else 0
            found.append((label, rest))
        return tuple(found)

    def _reads(self, mask: int) -> tuple[int, ...]:
        return tuple(number for number, one in enumerate(self.fields) if one.mask & mask)

    def _key(self, bits: int, mask: int) -> Key:
        return tuple(one.of(bits) for one in self.fields if one.mask & mask)

    def _writes(self, before: int, after: int) -> Writes:
        flipped = before ^ after
        return tuple((number, one.of(after)) for number, one in enumerate(self.fields) if one.mask & flipped)

    def _fact_row(self, bits: int, learnt: tuple[Learnt, ...], charts: dict[Chart, int]) -> tuple[Writes, int] | None:
        if not learnt:
            return None
        _, told, chart = learnt[0]
        return self._writes(bits, bits ^ told), charts.setdefault(chart, len(charts))

    def _chart(self, chart: Chart) -> ChartRows:
        known: dict[int, Moved | None] = {**chart.older, **chart.known}
        rows = {
            self._key(bits, chart.mask): None
            if moved is None
            else self._outcome(self.moves.noted[chart, bits], bits, bits ^ moved[1])
            for bits, moved in known.items()
        }
        return ChartRows(self._reads(chart.mask), rows)

    def _outcome(self, made: Sequence[Step], before: int, after: int) -> Outcome:
        timers = tuple(
            (tuple(sorted(step.outcome.disarms)), tuple((timer.spec.number, timer.deadline) for timer in step.armed))
            for step in made
            if step.outcome.disarms or step.armed
        )
        told = tuple(self._told(step, again=number > 0) for number, step in enumerate(made))
        return Outcome(self._writes(before, after), told if any(one != Told() for one in told) else (), timers)

    def _told(self, step: Step, *, again: bool) -> Told:
        effects, outcome = step.outcome.effects, step.outcome
        invokes_of = self.moves.steps.layout.invokes_of
        return Told(
            outcome.transitions,
            tuple(one.event_type for one in effects if not isinstance(one, CallEffect)),
            tuple(one.name for one in effects if isinstance(one, CallEffect)),
            tuple(spec.invoke.call for spec in outcome.invokes),
            tuple(spec.invoke.call for state in outcome.cancels for spec in invokes_of[state]),
            step.event.type if again else "",
            step.deferral or "",
        )

    def _phases(self) -> dict[Key, str]:
        """The phase by what the active fields stand at, for every case that was found."""
        active = [one for one in self.fields if one.kind == "active"]
        found: dict[Key, str] = {}
        for case in self.found.cases:
            key = tuple(one.of(case) for one in active)
            if key not in found:
                found[key] = self.moves.cases.situation(case).phase
        return found

    def _is_end(self, number: int) -> bool:
        return self.moves.ended(number << self.fields[0].shift)

    def _transitions(self) -> Iterator[tuple[str, str | None]]:
        for state in self.definition.walk():
            yield from ((state.id, transition.target) for transition in state.transitions)
            yield from ((state.id, after.transition.target) for after in state.after)

    def _beside(self) -> tuple[dict[int, dict[str, tuple[str, str, str]]], tuple[str, ...]]:
        """Dependencies that nothing reads, as long as what changes them is the event alone."""
        moves, steps = self.moves, self.moves.steps
        shown: list[str] = []
        for name, bit in steps.layout.bits.items():
            whens = [trigger.when for trigger in triggers_of(self.definition.dependencies[name])]
            asks_event_alone = all(when is None or reads_event_alone(when.tree) for when in whens)
            if asks_event_alone and not moves.relevance.facts.dependencies & bit:
                shown.append(name)
        found: dict[int, dict[str, tuple[str, str, str]]] = {}
        for number, label in enumerate(moves.labels):
            if label.symbol is None:
                continue
            for name in shown:
                became = self._became(label.symbol, steps.bit(name))
                if became != STATUSES:
                    found.setdefault(number, {})[name] = became
        unseen = [name for name in moves.relevance.left_out() if name not in shown]
        return found, tuple(unseen)

    def _became(self, symbol: Symbol, bit: int) -> tuple[str, str, str]:
        steps = self.moves.steps
        event = event_of(symbol)
        before = [evolve(steps.blank, ready=bit * (s == "ready"), failed=bit * (s == "failed")) for s in STATUSES]
        made = [self.moves.making.attempt(one, symbol, event) for one in before]
        after = [STATUSES[0] if step is None else dependency_status(step.during, bit) for step in made]
        return after[0], after[1], after[2]
