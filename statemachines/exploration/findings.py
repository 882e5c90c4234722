"""What the cases say about a definition without being asked: what is never reached, where nothing leads on."""

from __future__ import annotations

from collections import Counter

from statemachines.exploration.graph import can_reach
from statemachines.exploration.moves import Moves
from statemachines.exploration.naming import transition_names
from statemachines.exploration.result import Exploration, Judgement
from statemachines.exploration.search import Graph, World
from statemachines.exploration.stories import NOT_THERE
from statemachines.language.definition import Definition


class Findings:
    """Read off the cases that were found."""

    def __init__(self, world: World, graph: Graph, moves: Moves) -> None:
        self.world = world
        self.moves = moves
        self.graph = graph
        layout = self.moves.steps.layout
        self._active = {state for part in self.moves.cases.active for states in part.values for state in states}
        self.entered = frozenset(layout.ids[state] for state in self._active)
        """The states that are active in some case."""

    def exploration(
        self, definition: Definition, properties: tuple[Judgement, ...], notes: list[str], seconds: float
    ) -> Exploration:
        """All of it."""
        names = transition_names(definition)
        fired = self.moves.making.fired
        passed = {t.target for n, t in enumerate(self.moves.making.conflicts.transitions) if n in fired}
        entered = self.entered | passed  # entered and left in one step, a state is active in no case
        depths = Counter(self.graph.depths())
        return Exploration(
            name=definition.name,
            configurations=self.configurations(),
            cases=len(self.graph.cases),
            transitions=self.graph.transitions,
            unreachable_states=tuple(state.id for state in definition.walk() if state.id not in entered),
            dead_ends=self.dead_ends(),
            unfired_transitions=tuple(name for n, name in enumerate(names) if n not in fired),
            conflicts=tuple(
                f"{names[one.first]} / {names[one.second]} (on {one.event_type})"
                for one in sorted(self.moves.making.conflicts.found.values())
            ),
            livelocks=self.livelocks(),
            properties=properties,
            depths=tuple(depths[depth] for depth in range(len(depths))),
            seconds=seconds,
            untried=len(self.graph.cases) - self.graph.expanded,
            left_out=tuple(self.moves.relevance.left_out()),
            why_cut=self.graph.why_cut or next(iter(notes), None),
            notes=tuple(notes),
            only_by_hand=self._only_by_hand(),
        )

    def _only_by_hand(self) -> frozenset[str]:
        """The final state that ``terminate_connection`` leads to, if nothing else does."""
        layout = self.moves.steps.layout
        final = layout.first_top_level_final
        return frozenset() if final is None or final in self._active else frozenset([layout.ids[final]])

    def configurations(self) -> int:
        """How many sets of active states there are."""
        mask = sum(member.cases.configuration_mask for member in self.world.members)
        return len({case & mask for case in self.graph})

    def dead_ends(self) -> tuple[str, ...]:
        """Where a connection has not ended, and from where no transition is ever taken again, whatever comes."""
        if not self.world.any_order or len(self.world.members) > 1:
            return ()  # that no more events are sent is no fault of the definition
        active = bytearray(self.graph.active)
        active += bytes(len(self.graph.cases) - len(active))
        for number, case in enumerate(self.graph):
            if self.moves.ended(case):
                active[number] = 1
        if active.find(0) < 0:
            return ()
        found: dict[str, None] = {}
        for number, moves_on in enumerate(can_reach(self.graph, active, bytearray(len(active)))):
            if not moves_on:
                found.setdefault(self._place(self.graph.cases[number]))
        return tuple(found)

    def livelocks(self) -> tuple[str, ...]:
        """Where steps without end follow in no time: circles of eventless transitions, or of own events coming back."""
        found = dict.fromkeys(
            f"{phase} on {event}: never settles" for phase, event in sorted(self.moves.making.circles)
        )
        heard = self.moves.cases.heard.mask
        done: set[int] = set()
        for number, case in enumerate(self.graph):
            on_way: set[int] = set()
            while number not in done and case & heard and number < self.graph.expanded:
                if number in on_way:
                    found.setdefault(f"{self._place(case)}: hears its own events without end")
                    break
                on_way.add(number)
                after = self.graph.successors(number)
                if len(after) != 1:
                    break
                number = after[0]
                case = self.graph.cases[number]
            done |= on_way
        return tuple(found)

    def _place(self, case: int) -> str:
        """The leaves of a configuration: one is its phase."""
        layout = self.moves.steps.layout
        states = self.moves.cases.states(case)
        around = {layout.parent[state] for state in states}
        return " + ".join(layout.ids[state] for state in states if state not in around) or NOT_THERE
