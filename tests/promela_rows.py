"""All rows of a step table: for every way that the guards of a chart might come out, whether or not it ever happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from statemachines.connections.consequences import PHASE_CHANGED
from statemachines.language.expressions import Expression
from statemachines.table.chart import Decide, NeverSettles
from statemachines.table.step import Steps
from statemachines.table.table import Outcome, Situation
from tests.exploration_helpers import EVERY_EVENT

MOST_ROWS = 500

Answers = tuple[tuple[int, bool], ...]
"""How guards came out, by number."""


class TooLarge(Exception):
    """The table has more rows than a model is made for."""


@frozen
class Row:
    """What an event of a class does if guards come out so; ``outcome`` is None if the step never settles."""

    event_class: int
    answers: Answers
    outcome: Outcome | None


class Rows:
    """All rows of a table, by situation, each situation and each guard with a number.

    :ivar guards: the guards, each an expression with the outcomes of its ``In`` tests
    """

    def __init__(self, steps: Steps) -> None:
        self.layout, self.table = steps.layout, steps.table
        self.situations: list[Situation] = []
        self.guards: dict[tuple[Expression, tuple[tuple[str, bool], ...]], int] = {}
        self.of: dict[int, list[Row]] = {}
        self._made = 0
        self.start = [Row(0, *found) for found in self._outcomes(None, 0)]
        self._numbers: dict[tuple[object, object], int] = {}
        self._note(self.start)
        for number, situation in enumerate(self.situations):  # which grows while it is gone through
            self.of[number] = [] if situation.final else list(self._rows(situation))
            self._note(self.of[number])

    def number(self, situation: Situation) -> int:
        """The number of a situation."""
        return self._numbers[situation.states, situation.history]

    def _note(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.outcome is not None:
                after = row.outcome.situation
                known = self._numbers.setdefault((after.states, after.history), len(self.situations))
                if known == len(self.situations):
                    self.situations.append(after)

    def _rows(self, situation: Situation) -> Iterator[Row]:
        classes = {self.layout.event_class(event) for event in (*EVERY_EVENT, PHASE_CHANGED)}
        classes |= {timer.event_class for timer in self.layout.timers if timer.state in situation.states}
        for event_class in sorted(classes):
            yield from (Row(event_class, *found) for found in self._outcomes(situation, event_class))

    def _outcomes(self, before: Situation | None, event_class: int) -> Iterator[tuple[Answers, Outcome | None]]:
        """What the chart does for each way that the guards it asks can come out. Without a situation, at the start."""
        waiting: list[list[bool]] = [[]]
        while waiting:
            wanted = waiting.pop()
            self._made += 1
            if self._made > MOST_ROWS:
                raise TooLarge
            answers: dict[int, bool] = {}

            def decide(
                expression: Expression,
                active: Sequence[int],
                wanted: list[bool] = wanted,
                answers: dict[int, bool] = answers,
            ) -> bool:
                inside = tuple((name, self.layout.index[name] in active) for name, _ in expression.states)
                number = self.guards.setdefault((expression, inside), len(self.guards))
                if number not in answers:
                    answers[number] = wanted[len(answers)] if len(answers) < len(wanted) else True
                return answers[number]

            outcome = self._outcome(before, event_class, decide)
            waiting += ([*list(answers.values())[:asked], False] for asked in range(len(wanted), len(answers)))
            yield tuple(answers.items()), outcome

    def _outcome(self, before: Situation | None, event_class: int, decide: Decide) -> Outcome | None:
        chart = self.table.chart
        try:
            if before is None:
                return self.table._outcome(chart.start(decide), self.table._outside, event_class)
            trace = chart.step(before.states, before.history, event_class, decide)
        except NeverSettles:
            return None
        return self.table._outcome(trace, before, event_class)
