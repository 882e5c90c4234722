"""Definitions made of several files: what is merged how, who brings what along, where problems are reported, what is
refused.
"""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines import DefinitionError, load_definition, parse_definition
from statemachines.language import State, Transition, check_definition, parse_expression
from statemachines.language.composition import MAX_CHAIN, MAX_COPIED, MAX_FILES
from statemachines.language.definition import Definition
from statemachines.rendering.mermaid import render_mermaid
from statemachines.simulation.library import open_scenario
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.validation import validate_paths

BASE = """\
name: base
version: 4
description: What all calls have in common.
starts_on: call.requested
timeouts: {setup: 30s, unused: 1s}
dependencies:
  media: media.connected
  voice: {ready_on: ai.connected, lost_on: ai.lost, required: false}
remember:
  caller: {on: call.requested, value: data.number}
states:
  waiting:
    initial: true
    after: {setup: gone, unused: gone}
    transitions:
      - {cond: all_ready, target: talking}
  talking:
    enter: start_audio
    transitions: [{event: call.ended, target: gone}]
  gone: {final: true}
properties:
  ends: {always_reachable: gone}
"""
RECONNECTING = """\
fragment: true
timeouts: {patience: 20s}
dependencies: {media: {ready_on: media.connected, lost_on: media.lost}}
remember: {quality: {on: media.measured, value: data.quality}}
states:
  reconnecting:
    initial: true
    after: {patience: gone}
    transitions: [{cond: media, target: ready}]
    states:
      trying:
        initial: true
        after: {5s: {cond: visits.trying < 3 and meta.quality > 1, target: trying}}
"""
CALL = """\
name: call
states:
  ready:
    initial: true
    transitions: [{unless: media, target: lost}, {event: call.ended, target: gone}]
  lost:
    include: shared.yaml
  gone: {final: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder that is the current one, so that paths in messages are short."""
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


def write(**files: str) -> None:
    for name, text in files.items():
        Path(f"{name}.yaml").write_text(dedent(text), encoding="utf-8")


def load(**files: str) -> Definition:
    """The last of these files, loaded."""
    write(**files)
    return load_definition(f"{list(files)[-1]}.yaml")


def problems(**files: str) -> list[str]:
    """What validating the last of these files reports."""
    write(**files)
    return [str(problem) for problem in validate_paths([f"{list(files)[-1]}.yaml"]).problems]


def states(definition: Definition) -> dict[str, State]:
    return {state.id: state for state in definition.walk()}


# -- extends --


def test_extending_alone_is_the_other_definition_under_its_own_name(folder: Path) -> None:
    made = load(base=BASE, call="{extends: base.yaml, name: call}")
    other = load_definition("base.yaml")
    assert (made.name, made.version, made.description) == ("call", 1, "")
    assert (made.states, made.dependencies, made.timeouts) == (other.states, other.dependencies, other.timeouts)
    assert (made.remember, made.properties, made.starts_on) == (other.remember, other.properties, other.starts_on)


def test_name_is_each_definitions_own(folder: Path) -> None:
    assert problems(base=BASE, call="extends: base.yaml") == ["call.yaml:1:1: error: the key 'name' is missing"]


def test_mappings_are_merged_key_by_key(folder: Path) -> None:
    made = load(
        base=BASE,
        call="""\
        extends: base.yaml
        name: call
        timeouts: {setup: 10s}
        dependencies: {voice: {required: true}, billing: billing.approved}
        states: {talking: {after: {1h: gone}}}
        """,
    )
    assert made.timeouts == {"setup": 10.0, "unused": 1.0}
    voice = made.dependencies["voice"]
    assert (voice.required, [trigger.event for trigger in voice.lost_on]) == (True, ["ai.lost"])
    assert list(made.dependencies) == ["media", "voice", "billing"]
    assert [after.written for after in states(made)["talking"].after] == ["1h"]
    assert states(made)["talking"].transitions == (Transition(event=("call.ended",), target="gone"),)


def test_a_dependency_written_short_is_merged_as_its_long_form(folder: Path) -> None:
    made = load(
        base=BASE,
        call="""\
        extends: base.yaml
        name: call
        dependencies: {media: {lost_on: media.lost}, voice: ai.greeted}
        """,
    )
    media, voice = made.dependencies["media"], made.dependencies["voice"]
    assert [trigger.event for trigger in (*media.ready_on, *media.lost_on)] == ["media.connected", "media.lost"]
    assert [trigger.event for trigger in (*voice.ready_on, *voice.lost_on)] == ["ai.greeted", "ai.lost"]


def test_lists_are_replaced(folder: Path) -> None:
    text = "extends: base.yaml\nname: x\nstates: {talking: {transitions: [{event: call.dropped, target: gone}]}}"
    made = load(base=BASE, call=text)
    assert [transition.event for transition in states(made)["talking"].transitions] == [("call.dropped",)]


def test_lists_may_be_added_to_on_both_sides(folder: Path) -> None:
    made = load(
        base=BASE,
        call="""\
        extends: base.yaml
        name: call
        states:
          talking:
            enter: {append: [start_video]}
            exit: {append: stop_audio}
            transitions:
              prepend: [{event: call.held, target: waiting}]
              append: [{event: call.dropped, target: gone}]
        """,
    )
    talking = states(made)["talking"]
    assert [getattr(action, "name", None) for action in (*talking.enter, *talking.exit)] == [
        "start_audio",
        "start_video",
        "stop_audio",
    ]
    assert [transition.event for transition in talking.transitions] == [
        ("call.held",),
        ("call.ended",),
        ("call.dropped",),
    ]


def test_null_takes_a_key_away(folder: Path) -> None:
    made = load(
        base=BASE,
        call="""\
        extends: base.yaml
        name: call
        timeouts: {unused: null}
        dependencies: {voice: ~}
        properties: {ends: null}
        states: {waiting: {after: {unused: null}}}
        """,
    )
    assert (list(made.timeouts), list(made.dependencies), dict(made.properties)) == (["setup"], ["media"], {})


def test_null_for_what_is_not_there_is_an_error_with_the_nearest_name(folder: Path) -> None:
    found = problems(
        base=BASE,
        call="""\
        extends: base.yaml
        name: call
        timeouts: {setpu: null}
        states:
          idle:
        """,
    )
    assert found == [
        "call.yaml:3:12: error: there is no 'setpu' to take away (did you mean 'setup'?)",
        "call.yaml:5:3: error: there is no 'idle' to take away: there is gone, talking, waiting; for a state with "
        "nothing in it write {}",
    ]


def test_new_states_come_after_those_of_the_other(folder: Path) -> None:
    text = "extends: base.yaml\nname: x\nstates: {waiting: {after: {9s: late}}, late: {after: {1s: gone}}}"
    assert [state.id for state in load(base=BASE, call=text).states] == ["waiting", "talking", "gone", "late"]


def test_a_definition_that_is_extended_may_extend_another(folder: Path) -> None:
    made = load(
        base=BASE,
        middle="{extends: base.yaml, name: middle, timeouts: {setup: 20s}, description: in between}",
        call="{extends: middle.yaml, name: call}",
    )
    assert (made.timeouts["setup"], made.description) == (20.0, "")


def test_a_shipped_definition_is_extended_by_its_name() -> None:
    made = parse_definition("{extends: whatsapp_call, name: mine, timeouts: {setup: 5s}}")
    shipped = load_definition("whatsapp_call")
    assert (made.states, made.timeouts["setup"]) == (shipped.states, 5.0)


# -- include --


def test_an_included_state_has_the_includers_name_and_its_own_body(folder: Path) -> None:
    made = load(shared=RECONNECTING, call=CALL)
    lost = states(made)["lost"]
    assert [state.id for state in lost.states] == ["trying"]
    assert lost.transitions == (Transition(cond=parse_expression("media"), target="ready"),)
    assert not lost.initial


def test_a_fragment_brings_along_what_it_declares(folder: Path) -> None:
    made = load(shared=RECONNECTING, call=CALL)
    assert list(made.timeouts) == ["patience"]
    assert [trigger.event for trigger in made.dependencies["media"].lost_on] == ["media.lost"]
    assert list(made.remember) == ["quality"]


def test_what_the_includer_declares_itself_is_its_own_alone(folder: Path) -> None:
    made = load(shared=RECONNECTING, call=CALL + "timeouts: {patience: 1s}\ndependencies: {media: m.came}\n")
    assert made.timeouts == {"patience": 1.0}
    assert made.dependencies["media"].lost_on == ()


def test_a_whole_definition_brings_nothing_along(folder: Path) -> None:
    shared = (
        RECONNECTING.replace("fragment: true", "name: other") + "  ready: {after: {1s: gone}}\n  gone: {final: true}\n"
    )
    found = problems(
        shared=shared, call=CALL.replace("include: shared.yaml", "include: {from: shared.yaml, state: reconnecting}")
    )
    assert "call.yaml:5:28: error: unknown dependency 'media' (did you mean 'meta'?)" in found[0]
    assert any(line.startswith("shared.yaml:8:13: error: 'patience' is neither") for line in found)


def test_keys_beside_an_include_are_laid_over_it(folder: Path) -> None:
    more = "after: {patience: null, 3s: gone}, transitions: {append: [{event: call.ended, target: gone}]}"
    call = CALL.replace("include: shared.yaml", "include: shared.yaml").replace(
        "  lost:\n    include: shared.yaml", f"  lost: {{include: shared.yaml, {more}}}"
    )
    lost = states(load(shared=RECONNECTING.replace("timeouts: {patience: 20s}", ""), call=call + "timeouts: {}\n"))[
        "lost"
    ]
    assert [after.written for after in lost.after] == ["3s"]
    assert [transition.target for transition in lost.transitions] == ["ready", "gone"]


def test_a_state_of_several_is_taken_by_its_name_or_by_that_of_the_includer(folder: Path) -> None:
    shared = "fragment: true\nstates: {a: {states: {lost: {after: {1s: gone}}}}, b: {after: {2s: gone}}}"
    assert states(load(shared=shared, call=CALL + "dependencies: {media: m.came}"))["lost"].after[0].written == "1s"
    named = CALL.replace("shared.yaml", "{from: shared.yaml, state: b}") + "dependencies: {media: m.came}"
    assert states(load(shared=shared, call=named))["lost"].after[0].written == "2s"


def test_states_are_renamed_wherever_they_are_spoken_of(folder: Path) -> None:
    shared = """\
    fragment: true
    states:
      region:
        history: {was: {transitions: [{target: one}]}}
        after: {1s: ready, 2s: {target: ready}}
        transitions:
          - {event: done.state.inner, target: was, cond: "In('one') and visits.one < 3 and data.one == 'one'"}
          - {event: a.left, target: region}
        states:
          one:
            initial: true
            exit: {publish: {event: a.left, data: {one: one, at: {expr: visits.one}}}}
            after: {1s: inner}
          inner: {initial: false, states: {two: {initial: true, after: {1s: {target: end}}}, end: {final: true}}}
    """
    call = """\
    name: call
    states:
      here:
        initial: true
        include: {from: shared.yaml, rename: {one: uno, ready: done, was: before, inner: inside}}
      done: {final: true}
    """
    here = states(load(shared=shared, call=call))["here"]
    uno, inside = here.states
    assert (uno.id, inside.id, here.history[0].id, here.history[0].target) == ("uno", "inside", "before", "uno")
    assert [after.transition.target for after in here.after] == ["done", "done"]
    ended, left = here.transitions
    assert (ended.event, ended.target, left.target) == (("done.state.inside",), "before", "here")
    assert ended.cond == parse_expression("In('uno') and visits.uno < 3 and data.one == 'one'")
    (publish,) = uno.exit
    assert publish.data == {"one": "one", "at": parse_expression("visits.uno")}  # type: ignore[union-attr]


def test_one_fragment_is_included_twice_under_other_names(folder: Path) -> None:
    shared = "fragment: true\nstates: {line: {states: {up: {initial: true, after: {1s: down}}, down: {final: true}}}}"
    call = """\
    name: call
    states:
      both:
        initial: true
        parallel: true
        transitions: [{event: done.state.both, target: over}]
        states:
          left: {include: {from: shared.yaml, rename: {up: left_up, down: left_down}}}
          right: {include: {from: shared.yaml, rename: {up: right_up, down: right_down}}}
      over: {final: true}
    """
    made = load(shared=shared, call=call)
    assert [state.id for state in made.walk()][1:-1] == [
        *("left", "left_up", "left_down"),
        *("right", "right_up", "right_down"),
    ]


def test_an_included_file_may_include_and_extend(folder: Path) -> None:
    Path("parts").mkdir()
    made = load(
        **{"parts/deep": "fragment: true\nstates: {deep: {after: {patience: gone}}}\ntimeouts: {patience: 1s}"},
        **{"parts/middle": "{fragment: true, extends: deep.yaml, states: {lost: {include: deep.yaml}}}"},
        call=CALL.replace("shared.yaml", "parts/middle.yaml") + "dependencies: {media: m.came}",
    )
    assert states(made)["lost"].after[0].written == "patience"
    assert made.timeouts == {"patience": 1.0}


def test_two_fragments_that_disagree_are_refused_until_the_includer_decides(folder: Path) -> None:
    one = "fragment: true\ntimeouts: {t: 1s}\nstates: {one: {after: {t: gone}}}"
    two = one.replace("1s", "2s").replace("{one:", "{two:")
    call = (
        "name: call\nstates:\n  a: {initial: true, include: one.yaml, transitions: [{event: a.left, target: b}]}\n"
        "  b: {include: two.yaml}\n  gone: {final: true}\n"
    )
    assert problems(one=one, two=two, call=call) == [
        "call.yaml:4:7: error: 't' under 'timeouts' is declared otherwise in one.yaml:2: declare it in this file"
    ]
    assert load(one=one, two=two, call=call + "timeouts: {t: 3s}").timeouts == {"t": 3.0}
    assert load(one=one, two=two.replace("2s", "1s"), call=call).timeouts == {"t": 1.0}


# -- problems --


def test_a_problem_is_reported_where_it_is_written(folder: Path) -> None:
    shared = RECONNECTING.replace("visits.trying <", "visits.tring <")
    assert problems(shared=shared, call=CALL) == [
        "shared.yaml:13:28: error: unknown state 'tring' in visits.tring (did you mean 'trying'?) "
        "(taken over by call.yaml:7) [unknown-name]"
    ]


def test_every_taker_on_the_way_is_named(folder: Path) -> None:
    found = problems(
        base=BASE.replace("target: talking", "target: talkin"),
        middle="name: middle\nextends: base.yaml\n",
        call="name: call\n\nextends: middle.yaml\n",
    )
    assert found == [
        "base.yaml:16:35: error: target 'talkin' does not exist (did you mean 'talking'?) "
        "(taken over by middle.yaml:2, by call.yaml:3) [unknown-target]"
    ]


def test_a_wrong_shape_and_wrong_yaml_are_reported_in_the_included_file(folder: Path) -> None:
    found = problems(shared=RECONNECTING.replace("20s", "20").replace("5s:", "5s: 1, 5s:"), call=CALL)
    assert [line.partition(": error")[0] for line in found] == [
        "shared.yaml:2:22",
        "shared.yaml:13:21",
        "shared.yaml:13:24",
    ]


def test_a_file_that_cannot_be_read_hides_what_only_follows_from_that(folder: Path) -> None:
    found = problems(shared="states: [", call=CALL.replace("initial: true", "initial: yes"))
    assert [line.partition(" error")[0] for line in found] == ["call.yaml:4:14:", "shared.yaml:1:10:"]


def test_a_duplicate_state_names_the_other_file(folder: Path) -> None:
    (found,) = problems(shared=RECONNECTING, call=CALL + "  trying: {after: {1s: gone}}\n")
    assert found == (
        "call.yaml:9:3: error: duplicate state 'trying' (first on line 11 of shared.yaml): "
        "ids are unique in the whole chart [duplicate-id]"
    )


@pytest.mark.parametrize(
    ("include", "place", "message"),
    [
        ("shard.yaml", "7:14", "there is no file 'shard.yaml' here (did you mean 'shared.yaml'?)"),
        ("shared", "7:14", "no shipped definition or fragment is called 'shared' (did you mean 'shared.yaml'?)"),
        ("whatsap_call", "7:14", "'whatsap_call' (did you mean 'whatsapp_call'?); a path ends in .yaml"),
        ("''", "7:14", "must be the name of a shipped definition or fragment, or a path, not empty"),
        ("5", "7:14", "'include' must be a name, a path or a mapping such as {from: shared.yaml, state: waiting}, not"),
        ("null", "7:14", "'include' must be a name, a path"),
        ("{state: a}", "7:14", "the key 'from' is missing: name the file or shipped fragment that has the state"),
        ("{from: shared.yaml, stat: a}", "7:40", "unknown key 'stat' (did you mean 'state'?)"),
        ("{from: shared.yaml, state: 1}", "7:41", "'state' must be the id of a state, not the number 1"),
        ("{from: shared.yaml, state: tryin}", "7:41", "has no state 'tryin' (did you mean 'trying'?)"),
        ("{from: shared.yaml, rename: [a]}", "7:42", "'rename' must map ids to other ids, not a list"),
        ("{from: shared.yaml, rename: {a: 1}}", "7:46", "must be the id of a state, not the number 1"),
        ("{from: shared.yaml, rename: {redy: a}}", "7:43", "speaks of a state 'redy' (did you mean 'ready'?)"),
        ("two.yaml", "7:14", "has no state 'lost': there is one, two: say which with {from: …, state: …}"),
        ("list.yaml", "list.yaml:1:1", "must be a mapping with keys such as name, dependencies, states"),
        ("call.yaml", "7:14", "this leads in a circle: call.yaml → call.yaml"),
    ],
)
def test_a_wrong_include_is_reported_at_its_place(folder: Path, include: str, place: str, message: str) -> None:
    write(two="fragment: true\nstates: {one: {}, two: {}}", list="[1]")
    found = problems(shared=RECONNECTING, call=CALL.replace("include: shared.yaml", f"include: {include}"))
    assert len(found) == 1, found
    assert found[0].startswith(place if ".yaml" in place else f"call.yaml:{place}: error: ")
    assert message in found[0]


def test_a_circle_is_refused_with_the_way_that_leads_round(folder: Path) -> None:
    found = problems(
        two="name: two\nstates: {x: {include: call.yaml}}", call="name: call\nextends: two.yaml\nstates: {}\n"
    )
    assert found == ["two.yaml:2:23: error: this leads in a circle: call.yaml → two.yaml → call.yaml"]


def test_extends_and_include_are_suggested_for_near_misses(folder: Path) -> None:
    text = "extend: whatsapp_call\nname: x\nstates: {a: {initial: true, includes: b.yaml, final: true}}"
    assert problems(call=text) == [
        "call.yaml:1:1: error: unknown key 'extend' (did you mean 'extends'?)",
        "call.yaml:3:29: error: unknown key 'includes' (did you mean 'include'?)",
    ]


# -- fragments --


def test_a_fragment_is_validated_without_what_it_has_from_its_includer(folder: Path) -> None:
    assert problems(shared=RECONNECTING) == []


def test_what_is_wrong_in_a_fragment_by_itself_is_reported(folder: Path) -> None:
    found = problems(shared=RECONNECTING.replace("trying:", "Trying:").replace("media.lost", "media"))
    assert [line.partition(": error")[0] for line in found] == ["shared.yaml:3:60", "shared.yaml:11:7"]


def test_a_delay_in_a_fragment_may_be_a_name_of_the_includers_and_nothing_else(folder: Path) -> None:
    shared = "fragment: true\nstates: {lost: {after: {patience: gone, no.name: gone}}}"
    (found,) = problems(shared=shared)
    assert found.startswith(
        "shared.yaml:2:41: error: 'no.name' is neither a duration such as 30s nor one of 'timeouts'"
    )


def test_a_fragment_is_no_definition(folder: Path) -> None:
    write(shared=RECONNECTING)
    with pytest.raises(DefinitionError, match=r"shared.yaml:1:1: error: this is a fragment, which holds parts"):
        load_definition("shared.yaml")


def test_fragment_is_true_or_left_out(folder: Path) -> None:
    assert problems(shared="fragment: 1\nname: x\nstates: {a: {initial: true, final: true}}") == [
        "shared.yaml:1:11: error: 'fragment' must be true, or left out"
    ]


# -- what a stranger's file may read --


def test_nothing_outside_of_the_definitions_folder_is_read(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text(RECONNECTING)
    for way in ("../secret.yaml", "sub/../../secret.yaml"):
        (found,) = problems(call=CALL.replace("shared.yaml", way))
        assert found == f"call.yaml:7:14: error: '{way}' leads out of the definition's folder: move the file into it"


def test_whether_a_file_outside_exists_is_not_told(folder: Path) -> None:
    (found,) = problems(call=CALL.replace("shared.yaml", "../nothing.yaml"))
    assert "leads out of" in found


def test_a_link_is_followed_before_it_is_judged(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text(RECONNECTING)
    (folder / "shared.yaml").symlink_to(folder.parent / "secret.yaml")
    (folder / "sub").symlink_to(folder.parent)
    for way in ("shared.yaml", "sub/secret.yaml"):
        (found,) = problems(call=CALL.replace("shared.yaml", way))
        assert "leads out of the definition's folder" in found


def test_a_link_inside_the_folder_is_good(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "part.yaml").write_text(RECONNECTING)
    (folder / "shared.yaml").symlink_to(folder / "real" / "part.yaml")
    assert load(call=CALL).name == "call"


def test_an_included_file_may_not_lead_out_either(folder: Path) -> None:
    (folder.parent / "secret.yaml").write_text(RECONNECTING)
    (folder / "sub").mkdir()
    part = "fragment: true\nstates: {lost: {include: ../../secret.yaml}}"
    (found,) = problems(**{"sub/part": part}, call=CALL.replace("shared.yaml", "sub/part.yaml"))
    assert found.startswith("sub/part.yaml:2:26: error: '../../secret.yaml' leads out")


def test_within_the_folder_a_file_may_lead_up(folder: Path) -> None:
    (folder / "sub").mkdir()
    part = "fragment: true\nstates: {lost: {include: ../shared.yaml}}"
    assert load(shared=RECONNECTING, **{"sub/part": part}, call=CALL.replace("shared.yaml", "sub/part.yaml"))


@pytest.mark.parametrize("path", ["/etc/x.yaml", "C:/x.yaml", "//host/x.yaml", "\\\\host\\x.yaml"])
def test_absolute_paths_are_refused(folder: Path, path: str) -> None:
    (found,) = problems(call=CALL.replace("shared.yaml", f"'{path}'"))
    assert "is an absolute path" in found


@pytest.mark.parametrize(
    "path", ["shared.txt", "sub/", "..", ".", "sub\\x.yaml", "shared.yaml\\0", "~/x.yml", "x" * 5000 + ".yaml"]
)
def test_what_is_no_yaml_file_here_is_refused(folder: Path, path: str) -> None:
    (folder / "shared.txt").write_text(RECONNECTING)
    quoted = '"shared.yaml\\0"' if path.endswith("\\0") else f"'{path}'"
    (found,) = problems(call=CALL.replace("shared.yaml", quoted))
    assert found.startswith("call.yaml:7:14: error: ")


def test_a_link_to_what_is_no_yaml_is_refused(folder: Path) -> None:
    (folder / "notes.txt").write_text(RECONNECTING)
    (folder / "shared.yaml").symlink_to(folder / "notes.txt")
    (found,) = problems(call=CALL)
    assert "there is no file 'shared.yaml' here" in found


def test_links_in_a_circle_and_pipes_are_no_files(folder: Path) -> None:
    (folder / "shared.yaml").symlink_to(folder / "shared.yaml")
    os.mkfifo(folder / "pipe.yaml")
    for way in ("shared.yaml", "pipe.yaml"):
        (found,) = problems(call=CALL.replace("shared.yaml", way))
        assert f"there is no file '{way}' here" in found


def test_a_text_names_only_what_ships(folder: Path) -> None:
    write(shared=RECONNECTING)
    with pytest.raises(DefinitionError, match=r"call.yaml:7:14: error: 'shared.yaml' is looked for beside a file"):
        parse_definition(CALL, "call.yaml")


# -- limits --


def test_many_files_in_a_row_are_refused(folder: Path) -> None:
    for number in range(MAX_CHAIN + 1):
        write(**{f"f{number}": f"name: f{number}\nextends: f{number + 1}.yaml"})
    (found,) = problems(call="name: call\nextends: f0.yaml")
    assert f"f{MAX_CHAIN - 2}.yaml:2:10: error: more than {MAX_CHAIN} files name each other in a row" in found


def test_many_files_are_refused(folder: Path) -> None:
    (folder / "parts").mkdir()
    for number in range(MAX_FILES + 1):
        write(**{f"parts/f{number}": f"fragment: true\nstates: {{s{number}: {{after: {{1s: gone}}}}}}"})
    listed = "".join(f"  s{number}: {{include: parts/f{number}.yaml}}\n" for number in range(MAX_FILES + 1))
    (found,) = problems(call=f"name: call\nstates:\n{listed}")
    assert f"call.yaml:{MAX_FILES + 3}:" in found
    assert f"more than {MAX_FILES} files make up this definition" in found


def test_files_that_are_large_together_are_refused(folder: Path) -> None:
    for name in ("one", "two"):
        write(**{name: f"fragment: true\n# {'x' * 700_000}\nstates: {{{name}: {{after: {{1s: gone}}}}}}"})
    (found,) = problems(call="name: x\nstates:\n  one: {include: one.yaml}\n  two: {include: two.yaml}")
    assert "call.yaml:4:18: error: the files of this definition are larger than 1 MiB together" in found


def test_a_bomb_of_inclusions_is_refused(folder: Path) -> None:
    """Each file takes the one before ten times, so that a few lines would become a billion states."""
    write(f0="fragment: true\nstates: {s0: {after: {1s: gone}}}")
    for number in range(1, 9):
        inside = "".join(f"      a{copy}: {{include: f{number - 1}.yaml}}\n" for copy in range(10))
        write(**{f"f{number}": f"fragment: true\nstates:\n  s{number}:\n    states:\n{inside}"})
    found = problems(call="name: x\nstates: {a: {include: f8.yaml}}")
    assert any(f"more than {MAX_COPIED} values are taken over" in line for line in found)


def test_nesting_is_limited_over_all_files(folder: Path) -> None:
    deep = "{after: {1s: gone}}"
    for level in range(18):
        deep = f"{{states: {{s{level}: {deep}}}}}"
    write(f0=f"fragment: true\nstates: {{f0: {deep}}}")
    write(f1=f"fragment: true\nstates: {{f1: {deep.replace('{after: {1s: gone}}', '{include: f0.yaml}')}}}")
    (found,) = problems(call="name: x\nstates: {a: {include: f1.yaml}}")
    assert "f1.yaml:2:" in found
    assert "more than 60 levels are nested" in found


# -- anything at all --

_TEXTS = [
    BASE,
    RECONNECTING,
    CALL,
    "extends: base.yaml\nname: x\nstates: {talking: {include: shared.yaml, enter: ~}}\n",
]
_TOKENS = [
    "extends",
    "include",
    "fragment",
    "from",
    "append",
    "null",
    "shared.yaml",
    "[",
    "{",
    ":",
    "\n",
    " ",
    "true",
    "x",
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_mutation_gives_a_definition_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    own = tmp_path_factory.mktemp("own")
    for name in ("base", "shared", "call", "x"):
        text = data.draw(st.sampled_from(_TEXTS))
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(0, len(text)))
            text = text[:at] + data.draw(st.sampled_from(_TOKENS)) + text[at + data.draw(st.integers(0, 8)) :]
        (own / f"{name}.yaml").write_text(text, encoding="utf-8")
    report = validate_paths([own])
    for problem in report.problems:
        assert Path(problem.path).is_file()
        assert problem.line >= 1


def test_a_file_that_takes_nothing_over_is_read_as_ever() -> None:
    definition, found = check_definition(
        CALL.replace("include: shared.yaml", "after: {1s: gone}") + "dependencies: {media: m.came}", "f"
    )
    assert definition is not None, found


# -- what ships --

MEDIA = """\
name: media_call
dependencies: {media: {ready_on: media.connected, lost_on: media.lost}}
timeouts: {ice_patience: 6s}
states:
  waiting: {initial: true, after: {30s: over}, transitions: [{cond: all_ready, target: talking}]}
  talking: {transitions: [{unless: all_ready, target: lost}, {event: call.ended, target: over}]}
  lost: {include: {from: reconnecting, rename: {ready: talking, terminating: over}}}
  over: {final: true}
examples:
  it_comes_back:
    steps:
      - publish: media.connected
      - publish: media.lost
      - expect: {configuration: [lost, restarting_ice]}
      - wait: 12s
      - publish: media.connected
      - expect: {phase: talking}
  it_is_given_up:
    steps:
      - publish: media.connected
      - publish: media.lost
      - wait: 15.9s
      - expect: {phase: restarting_ice}
      - wait: 200ms
      - expect: {phase: over}
"""


def test_the_shipped_reconnecting_is_included_by_name(folder: Path) -> None:
    made = load(media_call=MEDIA)
    assert made.timeouts == {"ice_patience": 6.0, "ice_restart": 5.0}
    assert problems(media_call=MEDIA) == []


@pytest.mark.parametrize(("example", "ends"), [("it_comes_back", "talking"), ("it_is_given_up", "over")])
def test_the_shipped_reconnecting_tries_three_times(folder: Path, example: str, ends: str) -> None:
    definition = load(media_call=MEDIA)
    simulation = Simulation(definition, lambda entry: None)
    summary = run_scenario(simulation, open_scenario("media_call.yaml", definition, example))
    assert summary.failed_expectations == 0
    assert summary.to_dict()["connections"]["conn_1"]["phase"] == ends


def test_a_definition_of_several_files_is_drawn_like_any_other(folder: Path) -> None:
    assert "after 6s (ice_patience)" in render_mermaid(load(media_call=MEDIA))
