"""The JSON Schemas: shipped as they are generated, and of one mind with the loader about everything that they can know.

Both ways: what the loader accepts, the schema accepts; and what the schema accepts has the right shape for the loader,
but for the few things that no schema can say (:func:`beyond_a_schema`).
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, get_origin

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from statemachines import load_definition, shipped_definitions
from statemachines.errors import ExpressionError
from statemachines.language import find_definition, parse_expression, read_file, read_yaml, schema
from statemachines.language.composition import compose
from statemachines.language.definition import (
    Definition,
    Dependency,
    Invoke,
    Property,
    Publish,
    Remembered,
    State,
    Transition,
    Trigger,
)
from statemachines.language.loading import check_source
from statemachines.language.merging import OWN, TOP
from statemachines.language.names import is_name
from statemachines.language.places import Placed
from statemachines.language.rules import find_rule
from statemachines.language.salvage import salvage
from statemachines.language.schema import definition_schema
from statemachines.language.structuring import Fault, attempt
from statemachines.language.vocabulary import Back, Timed, definition_converter
from statemachines.schemas import FILES, SCHEMAS, schema_text
from statemachines.simulation.library import SUFFIX
from statemachines.simulation.scenario_file import check_scenario
from tests.cli_helpers import Command
from tests.test_bad_definitions import GOOD

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
DEFINITIONS = Path(__file__).parent.parent / "definitions"
DEFINITION = Draft7Validator(SCHEMAS["definition"]())
WITH_ANY_EXAMPLES = Draft7Validator(definition_schema({"type": "object"}, {}))
SCENARIO = Draft7Validator(SCHEMAS["scenario"]())

BASE = """\
name: base
dependencies: {audio: media.track_started, voice: {ready_on: ai.connected, required: false}}
timeouts: {setup: 30s}
remember: {caller: {on: call.started, value: data.number}}
states:
  waiting: {initial: true, after: {setup: gone}, enter: beep, transitions: [{cond: all_ready, target: talking}]}
  talking: {transitions: [{event: call.ended, target: gone}]}
  gone: {final: true}
"""
SHARED = "{fragment: true, timeouts: {patience: 9s}, states: {lost: {after: {patience: gone}, enter: [beep]}}}"
EXTENDING = """\
extends: base.yaml
name: call
starts_on: {append: call.started}
dependencies: {voice: {required: true, lost_on: {append: [ai.lost]}}, audio: null, more: {ready_on: more.came}}
remember: {caller: {value: data.caller}}
timeouts: {setup: 5s}
states:
  waiting: {after: {setup: null, 1m: {target: gone}}, enter: {prepend: boop, append: [{publish: call.waited}]}}
  talking: {transitions: {append: [{event: call.held, target: lost}]}, initial: false}
  lost: {include: shared.yaml, after: {patience: null, 2s: gone}, enter: {append: [beep]}, exit: beep}
"""
FULL = (
    GOOD
    + """\
starts_on: [call.requested, {event: [call.dialled, "phone.*"], when: data.x}]
keys: {wa_id: {on: call.requested, value: data.wa_id}}
examples:
  one: {steps: [{publish: call.started, data: {number: "1"}}, wait: 5s, {expect: {phase: waiting}}]}
  two: scenarios/two.scenario.yaml
"""
)
EVERYTHING = """\
name: everything
description: All shorthands at once.
states:
  one:
    initial: true
    parallel: true
    defer: [a.came]
    history: {back: {type: deep, transitions: [{target: three}]}}
    invoke: [{call: work, done: work.done, failed: work.failed}]
    enter: start
    exit: [{call: stop}, {publish: one.left}, {publish: {event: one.lost, data: {a: {expr: data.b}, c: [1, null]}}}]
    after: {5s: {target: one, backoff: 2, max: 1m, cond: In('one')}, 1.5h: six, 2s: {on: beep}}
    transitions: [{event: done.state.one, target: six, internal: false}, {event: [b.came, c.came], on: [beep]}]
    states:
      two: {states: {three: {initial: true, after: {500ms: four}}, four: {final: true}}}
      five: {states: {seven: {initial: true, transitions: [{event: "*", target: eight}]}, eight: {final: true}}}
  six:
    final: true
properties:
  p1: {always: not In('six')}
  p2: {leads_to: [all_ready, any_failed], within: 45s}
  p3: {closes: {start: stop}}
  p4: {always_reachable: six}
"""
PARTIAL = "{fragment: true, dependencies: {audio: a.came}, states: {x: {after: {1s: y}}, z: }}"
SEEDS = {"full": FULL, "everything": EVERYTHING, "extending": EXTENDING, "fragment": PARTIAL, "base": BASE}
JUNK: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        1.5,
        "",
        "x",
        "X",
        "a b",
        "5s",
        "0s",
        "5",
        "1.5h",
        "9999999h",
        "a.came",
        "a.*",
        "*",
    ),
    *("done.*", "done.state.gone", "A.b", "all_ready", "or", "x" * 501, [], {}, [[]], ["a.came"], [None], {"x": None}),
    *(
        {"event": "a.came"},
        {"target": "gone"},
        {"expr": "data.x"},
        {"expr": "or"},
        {"append": ["a.came"]},
        {"prepend": []},
    ),
    *({"publish": "a.came"}, {"call": "x"}, {"publish": "a.came", "call": "x"}, {"steps": []}, {"from": "shared.yaml"}),
]
KEYS = sorted(
    {field.name for cls in (Definition, State, Transition, Dependency, Property) for field in attrs.fields(cls)}
)
MORE_KEYS = [
    "extends",
    "include",
    "fragment",
    "append",
    "expr",
    "backoff",
    "max",
    "x",
    "X y",
    "5s",
    "0s",
    "a.came",
    "event",
]


CALLS = {file.name: file.read_text(encoding="utf-8") for file in (DEFINITIONS / "whatsapp_call").rglob(f"*{SUFFIX}")}


def read(data: Any, folder: Path | None = None) -> Any:
    """What the loader reads when a file holds this data."""
    return read_yaml(json.dumps(data), "f.yaml", folder)


def ways(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    yield way
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, part in steps:
        yield from ways(part, (*way, step))


def at(data: Any, way: tuple[Any, ...]) -> Any:
    for step in way:
        data = data[step]
    return data


@st.composite
def mutations(draw: st.DrawFn, seeds: dict[str, str]) -> Any:
    """A good file with up to three things changed: a value replaced, a key added, taken away or called otherwise."""
    data = deepcopy(read_yaml(draw(st.sampled_from(sorted(seeds.values()))), "seed").data)
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from([way for way in ways(data) if way] or [("name",)]))
        holder = at(data, tuple(way))
        junk = deepcopy(draw(st.sampled_from(JUNK)))
        change = draw(st.sampled_from(["replace", "add", "remove", "rename", "move"]))
        if change == "replace":
            holder[last] = junk
        elif change == "move":
            holder[last] = deepcopy(at(data, draw(st.sampled_from(list(ways(data))))))
        elif isinstance(holder, list):
            holder.append(junk) if change == "add" else holder.pop(last)
        elif change == "add":
            holder[draw(st.sampled_from([*KEYS, *MORE_KEYS]))] = junk
        else:
            value = holder.pop(last)
            if change == "rename":
                holder[draw(st.sampled_from([*KEYS, *MORE_KEYS]))] = value
    return data


def beyond_a_schema(fault: Fault, data: Any) -> bool:
    """Whether a fault is one that no schema can know: the grammar of expressions, a long duration, a short ``max``."""
    try:
        value = at(data, fault.location)
    except (KeyError, IndexError, TypeError):
        return False
    if "is shorter than the first delay" in fault.message or "a year" in fault.message:
        return True
    if not isinstance(value, str) or not value or len(value) > 500:
        return False
    try:
        parse_expression(value)
    except ExpressionError as error:
        return fault.message == error.message
    return False


def shape_faults(data: Any) -> list[str]:
    """What the loader's check of shape and of names finds in a file without others that a schema can know."""
    converter = definition_converter()
    definition, faults = attempt(data, Definition, converter)
    known = [f"{fault.location}: {fault.message}" for fault in faults if not beyond_a_schema(fault, data)]
    rest = salvage(data, faults, converter) if definition is None else definition
    if rest is not None:
        placed = Placed(rest, read(data))
        known += [finding.message for finding in find_rule("malformed-name").check(placed)]
        timers = [str(finding.location[-1]) for finding in find_rule("unknown-timeout").check(placed)]
        known += [f"{name} names no timeout" for name in timers if not is_name(name)]
    return known


def errors_of(validator: Draft7Validator, data: Any) -> list[str]:
    return [f"{list(error.path)}: {error.message}"[:200] for error in validator.iter_errors(data)]


# -- of one mind with the loader --


@settings(max_examples=300 if SOAK else 120, deadline=None)
@given(mutations({name: SEEDS[name] for name in ("full", "everything", "base")}))
def test_schema_and_loader_agree_on_the_shape_of_a_definition(data: Any) -> None:
    assume("extends" not in data and "fragment" not in data and '"include"' not in json.dumps(data))
    faults, errors = shape_faults(data), errors_of(WITH_ANY_EXAMPLES, data)
    assert bool(faults) == bool(errors), (faults, errors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    (made / "base.yaml").write_text(BASE)
    (made / "shared.yaml").write_text(SHARED)
    return made


@settings(max_examples=300 if SOAK else 120, deadline=None)
@given(data=mutations(SEEDS))
def test_schema_accepts_what_the_loader_accepts(folder: Path, data: Any) -> None:
    source = compose(read(data, folder))
    definition, problems = check_source(source)
    good_fragment = source.fragment and source.complete and not problems
    if definition is not None or good_fragment:
        assert errors_of(WITH_ANY_EXAMPLES, data) == []


@settings(max_examples=200 if SOAK else 80, deadline=None)
@given(mutations(CALLS))
def test_schema_accepts_what_the_loader_accepts_of_a_scenario(data: Any) -> None:
    source = read(data)
    if check_scenario(source, load_definition("whatsapp_call"))[0] is not None:
        assert errors_of(SCENARIO, data) == []


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_good_for_both(folder: Path, name: str) -> None:
    (folder / "seed.yaml").write_text(SEEDS[name])
    source = compose(read_file(folder / "seed.yaml"))
    assert [problem for problem in check_source(source)[1] if problem.severity == "error"] == []
    assert errors_of(DEFINITION, read_yaml(SEEDS[name], name).data) == []


@pytest.mark.parametrize(
    ("seed", "old", "new"),
    [
        ("base", "name: base", "name: Base"),
        ("base", "name: base", "nme: base"),
        ("base", "30s", "30"),
        ("base", "30s", "0s"),
        ("base", "media.track_started", "media"),
        ("base", "media.track_started", "done.state.gone"),
        ("base", "required: false", "required: 'no'"),
        ("base", "final: true", "final: 1"),
        ("base", "target: talking", "taget: talking"),
        ("base", "cond: all_ready", "cond: "),
        ("everything", "{call: stop}", "{call: stop, publish: a.came}"),
        ("everything", "{target: one, backoff: 2, max: 1m", "{target: one, max: 1m"),
        ("everything", "{always: not In('six')}", "{always: 'True', never: 'False'}"),
        ("everything", "type: deep", "type: deeper"),
        ("extending", "append: call.started", "apend: call.started"),
        ("extending", "name: call", "version: 1"),
        ("extending", "include: shared.yaml", "include: {file: shared.yaml}"),
        ("extending", "exit: beep}", "states: []}"),
        ("fragment", "fragment: true", "fragment: false"),
    ],
)
def test_schema_refuses_a_wrong_file(seed: str, old: str, new: str) -> None:
    assert old in SEEDS[seed]
    assert errors_of(DEFINITION, read_yaml(SEEDS[seed].replace(old, new, 1), "f").data)


# -- as it ships --


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_shipped_schema_is_what_is_generated(kind: str) -> None:
    shipped = (DEFINITIONS / FILES[kind]).read_text(encoding="utf-8")
    assert shipped == schema_text(kind), f"write it anew: phasebus schema {kind} > definitions/{FILES[kind]}"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_command_prints_it(kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    done = Command(monkeypatch, capfd)("schema", kind)
    assert (done.status, done.out) == (0, schema_text(kind))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_it_is_a_schema(kind: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[kind]())


def test_it_ships_inside_of_the_package() -> None:
    project = tomllib.loads((DEFINITIONS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert "definitions" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert all((DEFINITIONS / name).is_file() for name in FILES.values())


@pytest.mark.parametrize("name", shipped_definitions())
def test_a_shipped_definition_names_the_schema_and_is_good_for_it(name: str) -> None:
    file = find_definition(name)
    first = file.read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == (DEFINITIONS / FILES["definition"]).resolve()
    assert errors_of(DEFINITION, read_file(file).data) == []


@pytest.mark.parametrize("file", sorted(DEFINITIONS.glob("fragments/*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_fragment_is_good_for_the_schema(file: Path) -> None:
    assert errors_of(DEFINITION, read_file(file).data) == []


@pytest.mark.parametrize("file", sorted(DEFINITIONS.rglob(f"*{SUFFIX}")), ids=lambda file: file.stem)
def test_a_shipped_scenario_is_good_for_the_schema(file: Path) -> None:
    assert errors_of(SCENARIO, read_file(file).data) == []


# -- what it says --

CLASSES = (Definition, State, Transition, Dependency, Property, Remembered, Trigger, Invoke, Publish, Timed, Back)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_key_of_a_class_is_there_with_what_it_is_for(cls: type[Any]) -> None:
    keys = SCHEMAS["definition"]()["definitions"][cls.__name__]["properties"]
    fields = [field.name for field in attrs.fields(cls) if (cls, field.name) != (State, "id")]
    assert list(keys) == fields
    assert [name for name, schema in keys.items() if not schema.get("description")] == []


def test_a_type_that_has_no_schema_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="say in _TYPES or _FIELDS"):
        schema.of_type(bytes)


def test_every_key_of_a_scenario_has_a_schema() -> None:
    schema = SCHEMAS["scenario"]()
    steps = schema["definitions"]["Step"]["oneOf"]
    keys = [*schema["properties"].items(), *(key for step in steps for key in step["properties"].items())]
    assert [name for name, body in keys if not body] == []


def test_every_mapping_of_a_definition_is_merged_by_name() -> None:
    attrs.resolve_types(Definition)
    mappings = [field.name for field in attrs.fields(Definition) if get_origin(field.type) is Mapping]
    assert {*TOP.keys, *OWN} >= {*mappings, "states"}
