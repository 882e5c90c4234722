"""Every rule: its examples are what it says, and nothing is reported wrongly or twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from statemachines.language import check_definition, read_yaml
from statemachines.language.loading import check_source
from statemachines.language.rules import (
    RULES,
    Rule,
    events,
    find_rule,
    flow,
    guards,
    ignoring,
    naming,
    references,
    structure,
)
from statemachines.table.truth import truth_of

IGNORABLE = [rule for rule in RULES.values() if rule.ignorable]


def found(text: str) -> list[tuple[str, str]]:
    """The rule and message of every problem of a definition, all rules asked."""
    text = text if "name: " in text.partition("states:")[0] else "name: call\n" + text
    return [(problem.rule, problem.message) for problem in check_source(read_yaml(text, "f"), truth_of)[1]]


def names(text: str) -> list[str]:
    return [name for name, _ in found(text)]


def by_name(rule: Rule) -> str:
    return rule.name


def test_every_rule_that_is_written_is_asked() -> None:
    families = (events, flow, guards, ignoring, naming, references, structure)
    written = {rule.name for family in families for rule in vars(family).values() if isinstance(rule, Rule)}
    assert written == set(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=by_name)
def test_wrong_example_breaks_this_rule_and_no_other(rule: Rule) -> None:
    assert set(names(rule.wrong)) == {rule.name}, found(rule.wrong)


@pytest.mark.parametrize("rule", RULES.values(), ids=by_name)
def test_right_example_breaks_no_rule(rule: Rule) -> None:
    assert found(rule.right) == []


@pytest.mark.parametrize("rule", RULES.values(), ids=by_name)
def test_rule_explains_itself(rule: Rule) -> None:
    assert rule.summary.endswith((".", ":")), rule.summary
    assert rule.name == rule.name.lower()


@pytest.mark.parametrize("rule", IGNORABLE, ids=by_name)
def test_judging_rule_can_be_ignored_with_a_reason(rule: Rule) -> None:
    assert found(rule.wrong + f"ignore: {{{rule.name}: it is meant here}}\n") == []


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if not rule.ignorable], ids=by_name)
def test_what_a_definition_cannot_run_without_cannot_be_ignored(rule: Rule) -> None:
    text = rule.right if "ignore" in rule.right else rule.right + f"ignore: {{{rule.name}: I want it}}\n"
    text = text.replace("{unconventional-event:", f"{{{rule.name}:")
    assert any("cannot be ignored" in message for _, message in found(text))


def test_rule_that_asks_about_guards_refuses_no_file() -> None:
    assert {rule.severity for rule in RULES.values() if rule.needs == "sound"} == {"warning"}


def test_ignore_of_a_rule_that_was_not_asked_is_not_called_idle() -> None:
    text = find_rule("guard-never-true").wrong + "ignore: {guard-never-true: it is meant here}\n"
    assert check_definition(text, "f")[1] == []


def test_ignore_in_a_state_holds_for_it_and_inside_it_alone() -> None:
    text = """
states:
  one: {initial: true, ignore: {dead-end: the test is long}, transitions: [{event: x.done, target: two}]}
  two: {ignore: {unconventional-event: theirs}, after: {1s: one}, states: {in: {initial: true, enter: {publish: x.go}}}}
  three: {after: {1s: one}, enter: {publish: y.go}}
ignore: {unreachable-state: kept for later}
"""
    assert names(text) == ["unused-ignore", "unconventional-event"]


def test_unknown_rule_is_refused_with_the_nearest() -> None:
    ((_, message),) = found("ignore: {ded-end: x}\nstates: {a: {initial: true, final: true}}\n")
    assert message == "there is no rule 'ded-end' (did you mean 'dead-end'?)"


def test_problems_that_no_rule_found_have_none() -> None:
    assert names("stats: {a: {initial: true}}\n") == ["", ""]


# -- what is no problem --

SHADOWS: dict[str, tuple[str, bool]] = {
    "same event, no guard": ("[{event: x.done, target: b}, {event: x.done, target: a}]", True),
    "same event, the same guard": ("[{event: x.done, cond: dep, target: b}, {event: x.done, cond: dep}]", True),
    "guard of the earlier is the weaker": (
        "[{event: x.done, cond: dep, target: b}, {event: x.done, cond: dep, unless: any_failed}]",
        True,
    ),
    "every event is covered by some other": (
        "[{event: x.done, target: b}, {event: y.done, target: b}, {event: [x.done, y.done]}]",
        True,
    ),
    "nothing else than what is taken at once": ("[{event: x.done, target: a}, {target: b}]", True),
    "eventless after eventless": ("[{target: b}, {cond: dep, target: b}]", True),
    "guarded earlier": ("[{event: x.done, cond: dep, target: b}, {event: x.done, target: a}]", False),
    "another guard": ("[{event: x.done, cond: dep, target: b}, {event: x.done, unless: dep, target: a}]", False),
    "narrow before wide": ("[{event: x.done, target: b}, {event: 'x.*', target: a}]", False),
    "one event of two is not covered": ("[{event: x.done, target: b}, {event: [x.done, y.done]}]", False),
    "all events do not cover an end": ("[{event: '*', target: a}, {event: done.state.a, target: b}]", False),
}


@pytest.mark.parametrize("case", SHADOWS, ids=lambda case: case.replace(" ", "-"))
def test_transition_behind_another_is_told_from_one_that_is_not(case: str) -> None:
    ways, shadowed = SHADOWS[case]
    text = (
        "dependencies: {dep: {ready_on: d.done, failed_on: d.failed}}\nstates:\n"
        f"  a: {{initial: true, transitions: {ways}, states: {{c: {{initial: true, final: true}}}}}}\n"
        "  b: {final: true}\n"
    )
    assert ("shadowed-transition" in names(text)) is shadowed, found(text)


def test_timer_of_a_state_that_is_left_at_once_is_shadowed() -> None:
    text = "states: {a: {initial: true, after: {5s: a}, transitions: [{target: b}]}, b: {final: true}}\n"
    ((_, message),) = found(text)
    assert message.startswith("this timer never fires: the one on line 2 is taken at once")


GUARDS: dict[str, tuple[str, str]] = {
    "literal": ("True", "always"),
    "contradiction": ("dep and not dep", "never"),
    "sum": ("dep + other >= 3", "never"),
    "sum that can be": ("dep + other >= 2", ""),
    "ready without being required": ("all_ready and not dep", ""),
    "failed without failed_on": ("any_failed", "never"),
    "visits below zero": ("visits.a < 0", "never"),
    "visits within a step": ("2 < visits.a < 3", "never"),
    "visits that can be": ("2 < visits.a < 4", ""),
    "own state": ("In('a')", "always"),
    "sibling": ("In('b')", "never"),
    "own region and another": ("In('p2')", ""),
    "between integers": ("2 < data.n < 3", ""),
    "beyond": ("data.n > 1e300", ""),
    "no number": ("data.n != data.n", ""),
    "not a number": ("not (data.n < 1 or data.n >= 1)", ""),
    "equal to two texts": ("data.s == 'x' and data.s == 'y'", "never"),
    "text between": ("data.s > 'x' and data.s < 'x0'", ""),
    "text and number": ("data.s > 'x' and data.s < 3", "never"),
    "true and one": ("data.s is True and data.s == 1", ""),
    "in nothing": ("data.s in []", "never"),
    "in a list": ("data.s in ['x', 'y'] and data.s == 'z'", "never"),
    "nested": ("data.a.b == 1 and data.a.b == 2", "never"),
    "a field and what is in it": ("data.a == 1 and data.a.b == 2", ""),
    "two fields": ("data.a < data.b and data.b < data.a", ""),
    "arithmetic": ("data.a + 1 < data.a", ""),
    "list in the payload": ("'x' in data.tags and 'y' in data.tags", ""),
    "remembered and not": ("meta.m and not meta.m", "never"),
    "another event": ("event == 'x.other'", "never"),
    "its event": ("event == 'x.done'", "always"),
    "huge integers": (f"{2**60} < data.n < {2**60 + 2}", ""),
    "infinite": ("data.n > 1e999", ""),
}


@pytest.mark.parametrize("case", GUARDS, ids=lambda case: case.replace(" ", "-"))
def test_guard_that_comes_out_one_way_is_told_from_one_that_does_not(case: str) -> None:
    guard, expected = GUARDS[case]
    text = f"""
dependencies: {{dep: d.done, other: e.done}}
remember: {{m: {{on: d.done, value: data.m}}}}
states:
  p:
    initial: true
    parallel: true
    states:
      p1:
        states:
          a: {{initial: true, transitions: [{{event: x.done, cond: "{guard}", target: b}}]}}
          b: {{after: {{1s: a}}}}
      p2: {{after: {{1s: p2}}}}
"""
    wanted = [f"guard-{expected}-true"] if expected else []
    assert names(text) == wanted, found(text)


def test_guard_over_very_many_names_is_left_alone() -> None:
    many = [f"d{number}" for number in range(60)]
    never = " and ".join([*many, "not d0"])
    text = (
        f"dependencies: {{{', '.join(f'{name}: x.{name}_done' for name in many)}}}\n"
        f"states: {{a: {{initial: true, transitions: [{{event: x.done, cond: {never}, target: a}}]}}}}\n"
    )
    assert names(text) == []


def test_guards_that_exclude_each_other_are_told() -> None:
    text = (
        "dependencies: {dep: d.done}\n"
        "states: {a: {initial: true, transitions: [{event: x.done, cond: dep, unless: dep, target: a}]}}\n"
    )
    assert names(text) == ["guard-never-true"]


DEPENDENCIES: dict[str, tuple[str, bool]] = {
    "no ready_on": ("{failed_on: x.failed}", True),
    "condition never true": ("{ready_on: {event: x.done, when: event == 'y.done'}}", True),
    "lost by the same event": ("{ready_on: x.done, lost_on: x.done}", True),
    "lost by the same event at times": ("{ready_on: x.done, lost_on: {event: x.done, when: data.n}}", False),
    "one event of two": ("{ready_on: [x.done, y.done], failed_on: x.done}", False),
}


@pytest.mark.parametrize("case", DEPENDENCIES, ids=lambda case: case.replace(" ", "-"))
def test_dependency_that_nothing_makes_ready_is_told_from_one_that_something_does(case: str) -> None:
    dependency, never = DEPENDENCIES[case]
    text = f"dependencies: {{dep: {dependency}}}\nstates: {{a: {{initial: true, after: {{1s: a}}}}}}\n"
    assert ("dependency-never-ready" in names(text)) is never


WAITING: dict[str, tuple[str, bool]] = {
    "timer around it": ("{initial: true, after: {5s: b}, states: {c: {initial: true, transitions: [WAY]}}}", False),
    "only looks whether it is lost": ("{initial: true, transitions: [{unless: all_ready, target: b}]}", False),
    "its event leads out": ("{initial: true, transitions: [WAY, {event: 'd.*', target: b}]}", False),
    "another event leads out": ("{initial: true, transitions: [WAY, {event: e.done, target: b}]}", True),
    "not unready": ("{initial: true, transitions: [{unless: not dep, target: b}]}", True),
    "waits for a person": ("{initial: true, transitions: [{event: e.done, target: b}]}", False),
}


@pytest.mark.parametrize("case", WAITING, ids=lambda case: case.replace(" ", "-"))
def test_waiting_for_ever_is_told_from_waiting(case: str) -> None:
    state, waits = WAITING[case]
    state = state.replace("WAY", "{cond: dep, target: b}")
    text = f"dependencies: {{dep: d.done}}\nstates:\n  a: {state}\n  b: {{final: true}}\n"
    assert ("waiting-without-timer" in names(text)) is waits, found(text)


LOOPS: dict[str, tuple[str, bool]] = {
    "itself": ("a: {initial: true, transitions: [{event: x.done, on: {publish: x.done}}]}", True),
    "on entering": ("a: {initial: true, enter: {publish: x.done}, transitions: [{event: 'x.*', target: a}]}", True),
    "guarded": (
        "a: {initial: true, enter: {publish: x.done}, transitions: [{event: x.done, cond: data.n, target: a}]}",
        False,
    ),
    "phase changes": (
        "a: {initial: true, transitions: [{event: '*', target: b}]}\n  b: {transitions: [{event: '*', target: a}]}",
        True,
    ),
    "heard where it is not": (
        "a: {initial: true, enter: {publish: x.done}, transitions: [{event: y.done, target: b}]}\n"
        "  b: {transitions: [{event: x.done, target: a}]}",
        False,
    ),
    "through another region": (
        "p: {initial: true, parallel: true, states: {"
        "a: {transitions: [{event: x.done, on: {publish: y.done}}]}, "
        "b: {transitions: [{event: y.done, on: {publish: x.done}}]}}}",
        True,
    ),
    "by way of a state that is left at once": (
        "a: {initial: true, transitions: [{event: x.done, target: b}]}\n"
        "  b: {enter: {publish: x.done}, transitions: [{target: a}]}",
        True,
    ),
}


@pytest.mark.parametrize("case", LOOPS, ids=lambda case: case.replace(" ", "-"))
def test_publish_loop_is_told_from_what_ends(case: str) -> None:
    states, loops = LOOPS[case]
    assert ("publish-loop" in names(f"states:\n  {states}\n")) is loops


HEARD: dict[str, tuple[str, bool]] = {
    "a transition": ("invoke: {call: f, done: x.done}, transitions: [{event: 'x.*', target: a}]", True),
    "a dependency": ("invoke: {call: f, done: d.done}, after: {1s: a}", True),
    "nobody": ("invoke: {call: f, done: x.done}, after: {1s: a}", False),
    "deferred, and taken": ("defer: 'x.*', transitions: [{event: x.done, target: a}]", True),
    "deferred for nothing": ("defer: d.done, after: {1s: a}", False),
}


@pytest.mark.parametrize("case", HEARD, ids=lambda case: case.replace(" ", "-"))
def test_unheard_event_is_told_from_one_that_is_heard(case: str) -> None:
    state, heard = HEARD[case]
    text = f"dependencies: {{dep: d.done}}\nstates: {{a: {{initial: true, {state}}}}}\n"
    assert names(text) == ([] if heard else ["unhandled-event"])


def test_hostile_guards_are_bounded(benchmark_clock: Callable[[Callable[[], object]], float]) -> None:
    guard = " and ".join(f"data.f{number} == {number}" for number in range(30))
    ways = ", ".join(f"{{event: x.e{number}_done, cond: '{guard}', target: a}}" for number in range(300))
    text = f"states: {{a: {{initial: true, transitions: [{ways}]}}}}\n"
    assert benchmark_clock(lambda: names(text)) < 5


@pytest.fixture
def benchmark_clock() -> Callable[[Callable[[], object]], float]:
    from time import process_time

    def measured(run: Callable[[], object]) -> float:
        before = process_time()
        run()
        return process_time() - before

    return measured


def test_shipped_definitions_are_good_under_strict_rules() -> None:
    for path in (Path(__file__).parent.parent / "definitions").glob("*/*.yaml"):
        assert names(path.read_text(encoding="utf-8")) == [], path
