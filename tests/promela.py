"""A definition's step table as a model in Promela, which Spin searches: a second opinion on what explore finds.

From phasebus the model has what one step of the chart does, in rows: a situation, a class of events, how the guards
come out, and what follows. Rows are made for every way that the guards might come out, whether or not it ever happens.
All else is said once more here, in Promela: what events tell, what expressions are worth, how timers run, and which
moves there are. So the reachable part is found by Spin alone; a row that is missing blocks it, which is an error.

Each move is four transitions of Spin's: the choice, what it tells, the row, and coming to rest. The start is one.

Only for plain charts (`tests/plain_charts.py`): nothing is published, deferred or invoked, times are whole seconds, and
payloads have one field, ``n``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from bus.names import matches
from statemachines.connections.consequences import PHASE_CHANGED
from statemachines.language.definition import Definition, Trigger
from statemachines.language.expressions import Expression
from statemachines.table.step import Steps
from statemachines.table.table import Outcome
from tests.exploration_helpers import EVERY_EVENT, MOST_VISITS, NUMBERS
from tests.promela_rows import Row, Rows
from tests.promela_terms import NONE, Terms, either, every

MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
"""The programs that are needed and not installed."""

MOST_SECONDS = 120
STATUS = ("pending", "ready", "failed")
BACK = len(EVERY_EVENT)
"""The event that a configuration has changed, which the connection itself publishes and may hear: it comes at once."""
TRANSITIONS = 4
"""Of each move."""
FIRE, WAIT, REST = 100, 101, 102
"""What happens, where it is no event: the next timer fires, time passes until just before that, nothing."""


@frozen
class Case:
    """The number of a situation, the status of each dependency, and the timers that run.

    :ivar clock: of each timer, the next that is due first: its number, the whole seconds that are left, and its rank
    """

    situation: int
    statuses: tuple[str, ...]
    clock: tuple[tuple[int, int, int], ...]

    @classmethod
    def read(cls, line: str) -> Case:
        """A line that the model prints: situation | dependencies | place, seconds and rank of each timer."""
        situation, statuses, timers = ([int(number) for number in part.split()] for part in line.split("|")[1:])
        places = [tuple(timers[first : first + 3]) for first in range(0, len(timers), 3)]
        running = sorted((seconds, rank, place, timer) for timer, (place, seconds, rank) in enumerate(places) if place)
        clock = tuple((timer, seconds, rank) for seconds, rank, _, timer in running)
        return cls(situation[0], tuple(STATUS[status] for status in statuses), clock)


@frozen
class Searched:
    """What Spin found: all that is told of each case, and for each property that is violated, after how many moves."""

    cases: frozenset[Case]
    violated: Mapping[int, int]


def search(model: str, folder: Path) -> Searched:
    """Have Spin search a model, breadth first, in a folder of its own."""
    (folder / "model.pml").write_text(model)
    _run(["spin", "-a", "model.pml"], folder)
    _run(["gcc", "-O0", "-w", "-DBFS", "-DPRINTF", "-DNOREDUCE", "-DVECTORSZ=4096", "-o", "pan", "pan.c"], folder)
    told = _run(["./pan", "-c0", "-n", "-w18"], folder)
    assert "errors: 0" in told or "assertion violated" in told, told[-2_000:]
    wrong = re.findall(r"^pan:\d+: (.*)$", told, re.MULTILINE)
    violated: dict[int, int] = {}
    for error in wrong:
        found = re.fullmatch(r"assertion violated .*wrong_(\d+).* \(at depth (\d+)\)", error)
        assert found is not None, error
        violated.setdefault(int(found[1]), int(found[2]) // TRANSITIONS)
    cases = frozenset(Case.read(line) for line in set(told.splitlines()) if line.strip().startswith("rest |"))
    return Searched(cases, violated)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    assert done.returncode == 0, (command, done.stdout[-2_000:], done.stderr[-2_000:])
    return done.stdout


class Model:
    """Writes the model of a definition.

    :raises TooLarge: the table has too many rows
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        steps = Steps(definition)
        self.layout = steps.layout
        self.rows = Rows(steps)
        self.hears = steps.plan(PHASE_CHANGED).named

    def text(self, never: Sequence[tuple[Expression, bool]]) -> str:
        """The model, in which it is an error if one of these expressions comes out so at rest."""
        holds = [(Terms(self.rows).of(expression.tree).holds(), outcome) for expression, outcome in never]
        wrong = [text if outcome else f"!({text})" for text, outcome in holds]
        asked = [
            f"#define G{number} ({Terms(self.rows, dict(inside)).of(expression.tree).holds()})"
            for (expression, inside), number in self.rows.guards.items()
        ]
        start = [f"    :: {line}" for line in map(self._row, self.rows.start)]
        return "\n".join(
            [
                *self._declarations(len(never)),
                *asked,
                CLOCK,
                "inline learn() {",
                *(f"  old_{name} = {name};" for name in (*self.layout.bits, "kept")),
                "  if",
                *self._learning(),
                "  :: what == WAIT -> class = NO_CLASS\n  fi\n}",
                "inline rest() {\n  settle(); clear();",
                *(f"  old_{name} = 0; new_{name} = 0;" for name in (*self.layout.bits, "kept")),
                f"  {self._printing()};",
                *(f"  wrong_{number} = {text};" for number, text in enumerate(wrong)),
                *(f"  assert(!wrong_{number});" for number in range(len(wrong))),
                *(f"  wrong_{number} = 0;" for number in range(len(wrong))),
                "}",
                "active proctype connection() {",
                "  d_step {\n    what = REST; n = NONE; kept = NONE; top = TIMERS + 1;\n    if",
                *start,
                "    fi;\n    heard = 0; rest()\n  }",
                "end:\n  do\n  :: if",
                *self._choices(),
                "     fi;\n     d_step { pass(); learn() };\n     if",
                *self._rows(),
                "     fi;\n     d_step { rest() }\n  od\n}\n",
            ]
        )

    def _printing(self) -> str:
        clock = [f"{part}[{timer.number}]" for timer in self.layout.timers for part in ("order", "whole", "rank")]
        parts = [["at"], list(self.layout.bits), clock]
        form = " | ".join(" ".join("%d" for _ in part) for part in parts)
        return f'printf("rest | {form}\\n", {", ".join(name for part in parts for name in part)})'

    def _declarations(self, properties: int) -> Iterator[str]:
        timers = max(1, len(self.layout.timers))
        yield f"#define TIMERS {timers}\n#define MIDDLE {4 * timers + 1}\n#define NONE {NONE}"
        yield f"#define FIRE {FIRE}\n#define WAIT {WAIT}\n#define REST {REST}\n#define NO_CLASS -1"
        ends = (f"at == {n}" for n, situation in enumerate(self.rows.situations) if situation.final)
        yield f"#define ENDED {either(*ends) or '0'}"
        yield f"#define RUNNING {either(*(f'order[{n}]' for n in range(timers)))}"
        yield f"#define NEAR {either(*(f'(order[{n}] && whole[{n}] == 0)' for n in range(timers)))}"
        due = (f"(order[{n}] && whole[{n}] == 0 && rank[{n}] <= 0)" for n in range(timers))
        yield f"#define DUE {either(*due)}"
        yield f"short at; byte what, n, kept; bit heard; byte visits[{max(1, len(self.layout.visited))}];"
        yield "byte order[TIMERS], whole[TIMERS]; short rank[TIMERS];"
        yield "short i, j, class, next, top, up, down, seconds, instant, earlier[TIMERS];"
        yield "short seen[2 * MIDDLE + 1], place[2 * MIDDLE + 1];"
        yield from (f"byte {name};" for name in self.layout.bits)
        yield from (f"byte old_{name}, new_{name};" for name in (*self.layout.bits, "kept"))
        yield from (f"bit wrong_{number};" for number in range(properties))

    def _choices(self) -> Iterator[str]:
        """What comes back; else every event with every number, the next timer, or time passing."""
        for event in range(len(EVERY_EVENT)):
            for number in NUMBERS:
                chosen = f"what = {event}; n = {NONE if number is None else number}"
                yield f"     :: d_step {{ !ENDED && !heard && !DUE -> {chosen} }}"
        yield f"     :: d_step {{ !ENDED && heard -> what = {BACK}; heard = 0 }}"
        yield "     :: d_step { !ENDED && !heard && RUNNING -> what = FIRE }"
        yield "     :: d_step { !ENDED && !heard && RUNNING && !NEAR -> what = WAIT }"

    def _learning(self) -> Iterator[str]:
        """For each event, what it tells by what was known before; and the class of each event and timer."""
        for number, event in enumerate((*EVERY_EVENT, PHASE_CHANGED)):
            told = [f"class = {self.layout.event_class(event)}"]
            for name, dependency in self.definition.dependencies.items():
                value = f"({self._told(dependency.ready_on, event)} -> 1 : {name})"
                value = f"({self._told(dependency.lost_on, event)} -> ({name} == 2 -> 2 : 0) : {value})"
                value = f"({self._told(dependency.failed_on, event)} -> 2 : {value})"
                told.append(f"new_{name} = {value}")
            told.append(f"new_kept = ({self._told(self.definition.remember['kept'].on, event)} -> n : kept)")
            told += [f"{name} = new_{name}" for name in (*self.layout.bits, "kept")]
            yield f"  :: what == {number} -> {'; '.join(told)}"
        for timer in self.layout.timers:
            yield f"  :: what == FIRE && next == {timer.number} -> class = {timer.event_class}"

    def _told(self, triggers: Sequence[Trigger], event: str) -> str:
        heard = [one.when for one in triggers if matches(one.event, event)]
        return either(*("1" if when is None else Terms(self.rows).of(when.tree).holds() for when in heard)) or "0"

    def _rows(self) -> Iterator[str]:
        for number, rows in self.rows.of.items():
            for row in rows:
                yield f"     :: d_step {{ at == {number} && class == {row.event_class} && {self._row(row)} }}"
        yield "     :: what == WAIT"

    def _row(self, row: Row) -> str:
        guards = every("1", *(f"G{number}" if answer else f"!G{number}" for number, answer in row.answers))
        return f"{guards} -> {'; '.join(self._effects(row.outcome)) or 'skip'}"

    def _effects(self, outcome: Outcome | None) -> Iterator[str]:
        if outcome is None:  # as if the event had not come
            yield from (f"{name} = old_{name}" for name in (*self.layout.bits, "kept"))
            return
        yield f"at = {self.rows.number(outcome.situation)}"
        if outcome.moved and self.hears:
            yield "heard = 1"
        for number, entered in outcome.visits:
            more = f"(visits[{number}] < {MOST_VISITS} -> visits[{number}] + 1 : {MOST_VISITS})"
            yield f"visits[{number}] = {more if entered else 0}"
        for timer in self.layout.timers:
            if timer.state in outcome.disarms:
                yield f"order[{timer.number}] = 0"
        for timer in outcome.arms:
            assert timer.usual_s is not None
            assert timer.usual_s == int(timer.usual_s)
            yield f"arm({timer.number}, {int(timer.usual_s)})"


CLOCK = """
/* A timer that runs has a place in the order of arming, whole seconds left, and a rank: of the instants by which it is
   due before or after these, only the order counts, and rank 0 is on time with now. */
inline arm(timer, length) {
  order[timer] = top; top = top + 1; whole[timer] = length; rank[timer] = 0
}
inline find_next() {
  next = TIMERS;
  for (i : 0 .. TIMERS - 1) {
    if
    :: order[i] && (next == TIMERS || whole[i] < whole[next] || (whole[i] == whole[next] &&
         (rank[i] < rank[next] || (rank[i] == rank[next] && order[i] < order[next])))) -> next = i
    :: else -> skip
    fi
  }
}
/* Let it be the time when the next timer is due, or just before: then zero comes between the ranks. */
inline pass() {
  if
  :: what == FIRE || what == WAIT ->
    find_next(); seconds = whole[next]; instant = rank[next];
    for (i : 0 .. TIMERS - 1) {
      if
      :: order[i] -> whole[i] = whole[i] - seconds;
        rank[i] = 2 * (rank[i] - instant) + (what == WAIT -> 1 : 0)
      :: else -> skip
      fi
    }
    if
    :: what == FIRE -> order[next] = 0
    :: else -> skip
    fi
  :: else -> skip
  fi
}
/* Equal futures, equal numbers. */
inline settle() {
  for (i : 0 .. TIMERS - 1) {
    earlier[i] = 1;
    if
    :: order[i] -> seen[MIDDLE + rank[i]] = 1;
      for (j : 0 .. TIMERS - 1) {
        if
        :: order[j] && order[j] < order[i] -> earlier[i] = earlier[i] + 1
        :: else -> skip
        fi
      }
    :: else -> whole[i] = 0; rank[i] = 0
    fi
  }
  for (i : 1 .. MIDDLE) {
    up = up + seen[MIDDLE + i]; place[MIDDLE + i] = up;
    down = down - seen[MIDDLE - i]; place[MIDDLE - i] = down
  }
  for (i : 0 .. TIMERS - 1) {
    if
    :: order[i] -> order[i] = earlier[i]; rank[i] = place[MIDDLE + rank[i]]
    :: else -> skip
    fi
  }
}
/* What only a move needs is no part of where it leads. */
inline clear() {
  for (i : 0 .. 2 * MIDDLE) { seen[i] = 0; place[i] = 0 }
  for (i : 0 .. TIMERS - 1) { earlier[i] = 0 }
  what = REST; n = NONE; top = TIMERS + 1;
  i = 0; j = 0; class = 0; next = 0; up = 0; down = 0; seconds = 0; instant = 0
}
"""
