"""A hundred broken definitions and more, each refused at its very line and column with what to do about it.

``▸`` in a text marks where the problem must be reported; it is taken out before the text is read. Most texts are the
good call below with one thing wrong.
"""

# ruff: noqa: E501  (the table reads best with one case a line)

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import fields
from hypothesis import example, given, settings
from hypothesis import strategies as st

from statemachines.errors import DefinitionError, Problem
from statemachines.language import (
    Definition,
    Dependency,
    Property,
    Publish,
    State,
    Transition,
    Trigger,
    check_definition,
    load_definition,
    parse_definition,
)

GOOD = """\
name: call
version: 1
retain: 5s
early: 0s
timeouts: {setup: 30s}
dependencies:
  audio: {ready_on: media.track_started, lost_on: {event: media.track_lost, when: data.kind == 'audio'}}
  voice: {ready_on: ai.connected, required: false}
remember:
  caller: {on: call.started, value: data.number}
states:
  live:
    initial: true
    transitions:
      - {event: call.ended, target: gone}
    states:
      waiting:
        initial: true
        after: {setup: gone}
        transitions:
          - {cond: audio and visits.waiting < 3, target: talking}
      talking:
        enter: [{publish: call.talked}, start_audio]
        exit: [stop_audio]
        after:
          1h: {cond: not voice, target: gone}
        transitions:
          - {unless: all_ready, target: waiting}
  gone:
    final: true
    enter: {publish: {event: call.closed, data: {who: {expr: meta.caller}}}}
properties:
  talks: {sometimes: "In('talking')"}
  ends: {leads_to: ["In('waiting')", "In('gone')"], within: 45s}
  stops: {closes: {start_audio: stop_audio}}
"""

MARK = "▸"


def changed(old: str, new: str) -> str:
    """The good call with ``old``, which it holds once, replaced."""
    assert GOOD.count(old) == 1, f"{old!r} is in the good call {GOOD.count(old)} times"
    return GOOD.replace(old, new)


def chart(states: str) -> str:
    """A small definition with these states."""
    return f"name: call\nstates:\n{states}"


CASES: dict[str, tuple[str, str]] = {
    # the text is no YAML
    "empty": (MARK, "the file is empty"),
    "only a comment": (MARK + "# later\n", "the file is empty"),
    "only a document marker": ("---\n▸", "must be a mapping with keys such as name"),
    "tab as indentation": ("name: call\nstates:\n" + MARK + "\tlive: {}\n", "use spaces"),
    "tab after spaces": ("name: call\nstates:\n  a:\n  " + MARK + "\tinitial: true\n", "use spaces"),
    "tab in a list": ("name: call\nstates:\n  a:\n    transitions:\n" + MARK + "\t- {target: a}\n", "use spaces"),
    "indented too far": ("name: call\n version▸: 1\n", "check the indentation"),
    "indented too little": ("name: call\nstates:\n    a:\n      initial: true\n   ▸b: {}\n", "align this line"),
    "list out of line": ("name: call\nstates:\n  a:\n    enter:\n      - x\n     ▸- y\n", "align this line"),
    "value on a key's line": ("name: call▸: me\n", "quote the text"),
    "list never closed": ("name: call\nstarts_on: ▸[a.started\nearly: 5s\n", "missing ']'"),
    "mapping never closed": ("name: call\ntimeouts: ▸{a: 5s\n\n", "missing '}'"),
    "single quote never closed": ("name: ▸'call\n", "missing quote"),
    "double quote never closed": ('name: ▸"call\n', "missing quote"),
    "unknown escape": ('name: call\ndescription: "a\\▸d"\n', "use single quotes"),
    "at sign begins a value": ("name: ▸@call\n", "in quotes"),
    "backtick begins a value": ("name: ▸`call`\n", "in quotes"),
    "percent begins a value": ("name: call\ndescription: ▸%5\n", "in quotes"),
    "key without colon": ("name: call\n▸version\nstates: {}\n", "a ':' is missing"),
    "two documents": (GOOD + "▸---\nname: other\n", "a file holds one"),
    "text after the document": (GOOD + "...\n▸name: other\n", "a file holds one"),
    "control character": ("name: ▸\x07call\n", "U+0007 is not allowed"),
    "zero character": ("name: call▸\x00\n", "binary"),
    "lone surrogate": ("name: ▸\ud800\n", "not allowed in YAML"),
    "YAML 1.1 directive": (MARK + "%YAML 1.1\n---\n" + GOOD, "only YAML 1.2"),
    "nested too deep": ("name: call\nx: " + "[" * 59 + "▸[" + "]" * 60 + "\n", "more than 60 levels"),
    "deep without end": ("[" * 60 + "▸[" + "[" * 5000, "more than 60 levels"),
    "deep mappings without end": ("{a: " * 60 + "▸{a: " + "{a: " * 5000, "more than 60 levels"),
    # YAML that is more than data
    "alias": (changed("exit: [stop_audio]", "exit: ▸*hooks").replace("name: call", "name: &hooks call"), "write the value out"),
    "alias bomb": (
        "a: &a [x, x]\nb: &b [▸*a, *a, *a]\nc: &c [*b, *b, *b]\nd: &d [*c, *c, *c]\ne: [*d, *d, *d]\n",
        "write the value out",
    ),
    "alias to itself": ("name: call\nstates: &s\n  a: ▸*s\n", "write the value out"),
    "alias to nothing": ("name: ▸*nothing\nstates: {}\n", "write the value out"),
    "alias as key": ("name: &n call\n▸*n : 5\n", "a key must be plain text"),
    "merge key": (changed("  voice: {", "  voice: {▸<<: {required: true}, "), "write the merged keys out"),
    "merge of an alias": ("base: &base {a: 1}\nname: call\n▸<<: *base\n", "write the merged keys out"),
    "python tag": ("name: ▸!!python/object/apply:os.system ['true']\n", "tag !!python/object/apply:os.system is refused"),
    "own tag": (changed("version: 1", "version: ▸!secret 1"), "the tag !secret is refused"),
    "standard tag": (changed("version: 1", "version: ▸!!int '1'"), "the tag !!int is refused"),
    "tag on a mapping": (changed("timeouts: {", "timeouts: ▸!!omap {"), "is refused: remove it"),
    "undefined tag handle": ("name: ▸!e!call x\n", "tags are refused"),
    # keys
    "duplicate key": (changed("retain: 5s", "retain: 5s\n▸version: 2"), "duplicate key 'version' (first on line 2)"),
    "duplicate state": (changed("  gone:\n", "  live: {}\n  gone:\n").replace("  live: {}", "  ▸live: {}"), "first on line 12"),
    "duplicate key in a flow mapping": (changed("{setup: 30s}", "{setup: 30s, ▸setup: 5s}"), "remove or rename one"),
    "duplicate key, quoted once": (changed("retain: 5s", "retain: 5s\n▸'version': 2"), "duplicate key 'version'"),
    "number as key": (changed("timeouts: {", "timeouts: {▸1: 5s, "), 'put it in quotes ("1")'),
    "number as delay": (changed("          1h:", "          ▸5:"), "give it a unit (5s)"),
    "boolean as key": (changed("retain: 5s", "▸true: 5s"), 'put it in quotes ("true")'),
    "null as key": (changed("retain: 5s", "▸null: 5s"), 'put it in quotes ("null")'),
    "nothing as key": (changed("retain: 5s", "▸: 5s"), "write a name before the ':'"),
    "list as key": (changed("retain: 5s", "? ▸[a, b]\n: 5s"), "a key must be plain text"),
    "mapping as key": (changed("retain: 5s", "? ▸{a: b}\n: 5s"), "a key must be plain text"),
    # the top level
    "not a mapping but a list": ("▸- name: call\n", "must be a mapping with keys such as name"),
    "not a mapping but a word": ("▸call\n", "not the text 'call'"),
    "not a mapping but a number": ("▸5\n", "not the number 5"),
    "no name": ("▸version: 1\nstates: {a: {initial: true, final: true}}\n", "the key 'name' is missing"),
    "no states": ("▸name: call\n", "the key 'states' is missing"),
    "misspelt key": (changed("retain: 5s", "▸retian: 5s"), "unknown key 'retian' (did you mean 'retain'?)"),
    "strange key": (changed("retain: 5s", "▸zzz: 5s"), "the keys here are name, states, version"),
    "name is a number": (changed("name: call", "name: ▸5"), "put it in quotes"),
    "name is empty": (changed("name: call", "▸name:"), "must be text, not empty"),
    "name in capitals": (changed("name: call", "name: ▸WhatsAppCall"), "(did you mean 'whats_app_call'?)"),
    "name with a dash": (changed("name: call", "name: ▸my-call"), "(did you mean 'my_call'?)"),
    "name with a dot": (changed("name: call", "name: ▸my.call"), "a name begins with a letter"),
    "version is text": (changed("version: 1", "version: ▸'1'"), "an integer of 1 or more, not the text '1'"),
    "version is a decimal": (changed("version: 1", "version: ▸1.5"), "an integer of 1 or more"),
    "version is a boolean": (changed("version: 1", "version: ▸true"), "not the boolean true"),
    "version is zero": (changed("version: 1", "version: ▸0"), "an integer of 1 or more, not 0"),
    "description is a list": (changed("version: 1", "description: ▸[a]"), "must be text, not a list"),
    "key of a fact": (changed("retain: 5s", "keys: {wa: {on: a.came, value: ▸meta.caller}}"), "must come from the event"),
    "key of a literal": (changed("retain: 5s", "keys: {wa: {on: a.came, value: ▸'1'}}"), "must come from the event"),
    "key without value": (changed("retain: 5s", "keys: {▸wa: {on: a.came}}"), "'value' is missing"),
    "key with a wrong name": (changed("retain: 5s", "keys: {▸Wa: {on: a.came, value: data.x}}"), "cannot name a key"),
    "key named like an address": (changed("retain: 5s", "keys: {▸tenant_id: {on: a.came, value: data.x}}"), "give it another name"),
    "starts_on is no event": (changed("retain: 5s", "starts_on: ▸created"), "as in call.accepted"),
    "starts_on is a number": (changed("retain: 5s", "starts_on: ▸5"), "must be the name of an event"),
    # durations
    "duration without unit": (changed("retain: 5s", "retain: ▸5"), "as in 5s or 5ms"),
    "duration of unknown unit": (changed("retain: 5s", "retain: ▸5sec"), "500ms, 1.5s, 30s, 5m or 1h"),
    "duration with a space": (changed("retain: 5s", "retain: ▸5 s"), "500ms, 1.5s, 30s, 5m or 1h"),
    "duration below zero": (changed("retain: 5s", "retain: ▸-5s"), "is not a duration"),
    "duration of words": (changed("retain: 5s", "retain: ▸soon"), "is not a duration"),
    "duration longer than a year": (changed("retain: 5s", "retain: ▸99999h"), "longer than a year"),
    "duration is empty": (changed("retain: 5s", "▸retain:"), "must be a duration, as in 500ms"),
    "duration is infinite": (changed("retain: 5s", "retain: ▸.inf"), "must be a duration"),
    "early is a boolean": (changed("early: 0s", "early: ▸false"), "must be a duration"),
    "timeout of zero": (changed("{setup: 30s}", "{setup: ▸0s}"), "must be longer than 0s"),
    "timeouts is a list": (changed("{setup: 30s}", "▸[setup]"), "as in {setup: 30s}"),
    "timeout in capitals": (changed("{setup: 30s}", "{setup: 30s, ▸SetUp: 5s}"), "(did you mean 'set_up'?)"),
    # dependencies
    "dependency is a number": (changed("{ready_on: ai.connected, required: false}", "▸5"), "must be an event, or a mapping"),
    "dependency without events": (changed("{ready_on: ai.connected, required: false}", "{required: false}").replace("  voice", "  ▸voice"), "has no events"),
    "dependency with misspelt key": (changed("  voice: {ready_on", "  voice: {▸redy_on"), "(did you mean 'ready_on'?)"),
    "dependency with event": (changed("  voice: {ready_on", "  voice: {▸event"), "belongs inside ready_on"),
    "required is a word": (changed("required: false", "required: ▸no"), "must be true or false, not the text 'no'"),
    "required is a number": (changed("required: false", "required: ▸0"), "must be true or false, not the number 0"),
    "trigger without event": (changed("lost_on: {event: media.track_lost, ", "lost_on: {").replace("lost_on: {", "▸lost_on: {"), "the key 'event' is missing"),
    "trigger with unknown key": (changed("when: data.kind", "▸if: data.kind"), "the keys here are event, when"),
    "trigger list with a number": (changed("ready_on: ai.connected", "ready_on: [ai.connected, ▸5]"), "must be the name of an event"),
    "trigger list is empty": (changed("ready_on: ai.connected", "ready_on: ▸[]"), "name at least one event"),
    "event with one token": (changed("ready_on: ai.connected", "ready_on: ▸connected"), "two or more such tokens"),
    "event in capitals": (changed("ready_on: ai.connected", "ready_on: ▸AI.Connected"), "did you mean 'ai.connected'?"),
    "event with a dash": (changed("ready_on: ai.connected", "ready_on: ▸ai.is-connected"), "did you mean 'ai.is_connected'?"),
    "event ends with a dot": (changed("ready_on: ai.connected", "ready_on: ▸ai."), "is not an event name"),
    "pattern in the middle": (changed("ready_on: ai.connected", "ready_on: ▸ai.*.done"), "name.* or * for several"),
    "event with a letter of another script": (changed("ready_on: ai.connected", "ready_on: ▸аі.connected"), "is not an event name"),
    "dependency called and": (changed("  voice: {", "  ▸and: {").replace("not voice", "not audio"), "already means something"),
    "dependency called event": (changed("  voice: {", "  ▸event: {").replace("not voice", "not audio"), "call the dependency event_ready"),
    "dependency called all_ready": (changed("  voice: {", "  ▸all_ready: {").replace("not voice", "not audio"), "already means"),
    "dependency called meta": (changed("  voice: {", "  ▸meta: {").replace("not voice", "not audio"), "already means"),
    "dependency in capitals": (changed("  voice: {", "  ▸Voice: {").replace("not voice", "not audio"), "(did you mean 'voice'?)"),
    # remember
    "remember without value": (changed("  caller: {on: call.started, value: data.number}", "  ▸caller: {on: call.started}"), "the key 'value' is missing"),
    "remember without event": (changed("  caller: {on: call.started, ", "  ▸caller: {"), "the key 'on' is missing"),
    "remember is a word": (changed("{on: call.started, value: data.number}", "▸data.number"), "must be a mapping with keys such as on, value"),
    "value is a number": (changed("value: data.number", "value: ▸5"), "must be an expression in text"),
    "remembered fact called class": (changed("  caller: {on", "  ▸class: {on").replace("meta.caller", "data.caller"), "call it class_value"),
    # states
    "states is a list": (chart("▸- a\n- b\n"), "must be a mapping of states by name"),
    "states is empty": ("name: call\nstates: ▸{}\n", "name at least one state"),
    "state is a number": (chart("  a: {initial: true, final: true}\n  b: ▸5\n"), "must be a mapping with keys such as initial"),
    "state with misspelt key": (changed("        exit: [stop", "        ▸exits: [stop"), "(did you mean 'exit'?)"),
    "state with id": (changed("        exit: [stop", "        ▸id: x\n        exit: [stop"), "unknown key 'id'"),
    "initial is a word": (changed("  live:\n    initial: true", "  live:\n    initial: ▸yes"), "must be true or false"),
    "final is text": (changed("final: true", "final: ▸'true'"), "must be true or false, not the text 'true'"),
    "state in capitals": (chart("  ▸Ready: {initial: true, final: true}\n"), "(did you mean 'ready'?)"),
    "state with a dash": (chart("  ▸on-hold: {initial: true, final: true}\n"), "(did you mean 'on_hold'?)"),
    "no initial state": ("name: call\n▸states:\n  a: {final: true}\n  b: {final: true}\n", "mark one of a, b with 'initial: true'"),
    "single state not initial": ("name: call\n▸states:\n  a: {final: true}\n", "mark one of a"),
    "no initial state inside": (changed("      waiting:\n        initial: true\n", "      waiting:\n").replace("    states:\n      w", "    ▸states:\n      w"), "no initial state inside 'live'"),
    "two initial states": (changed("    final: true\n", "    final: true\n    ▸initial: true\n"), "two initial states at the top, 'live' and 'gone'"),
    "two initial states inside": (changed("      talking:\n", "      talking:\n        ▸initial: true\n"), "two initial states inside 'live'"),
    "two states of one id": (changed("      talking:\n", "      talking:\n        states: {gone: {initial: true}}\n").replace("\n  gone", "\n  ▸gone"), "ids are unique in the whole chart"),
    "final state with transitions": (changed("    final: true\n", "    final: true\n    ▸transitions: [{event: a.done, target: live}]\n"), "cannot have 'transitions'"),
    "final state with timer": (changed("    final: true\n", "    final: true\n    ▸after: {5s: live}\n"), "cannot have 'after'"),
    "final state with states": (changed("    final: true\n", "    final: true\n    ▸states: {x: {initial: true, final: true}}\n"), "cannot have 'states'"),
    "unreachable state": (changed("  gone:\n", "  ▸lost: {after: {5s: gone}}\n  gone:\n"), "'lost' is unreachable"),
    "unreachable but for itself": (changed("  gone:\n", "  ▸lost: {transitions: [{event: a.done, target: lost}]}\n  gone:\n"), "'lost' is unreachable"),
    "dead end": (chart("  ▸a: {initial: true}\n"), "mark it 'final: true'"),
    "dead end, empty": (chart("  a: {initial: true, after: {5s: b}}\n  ▸b:\n"), "'b' is a dead end"),
    "parallel without regions": (changed("        exit: [stop", "        ▸parallel: true\n        exit: [stop"), "needs two or more states inside"),
    "final region": (chart("  a:\n    initial: true\n    parallel: true\n    transitions: [{event: b.done, target: a}]\n    states: {b: {}, c: {▸final: true}}\n"), "put a final state inside it"),
    "final and parallel": (changed("    final: true\n", "    final: true\n    ▸parallel: true\n"), "cannot have 'parallel'"),
    "history is a word": (changed("        exit: [stop", "        history: ▸deep\n        exit: [stop"), "must be a mapping of histories by name"),
    "history of a leaf": (changed("        exit: [stop", "        history: {▸was: {transitions: [{target: waiting}]}}\n        exit: [stop"), "has no states inside"),
    "history of an unknown type": (changed("    states:\n      waiting", "    history: {was: {type: ▸total, transitions: [{target: waiting}]}}\n    states:\n      waiting"), "must be shallow or deep"),
    "history without target": (changed("    states:\n      waiting", "    ▸history: {was: {type: deep}}\n    states:\n      waiting").replace("▸history: {was", "history: {▸was"), "'transitions' is missing"),
    "history with a guard": (changed("    states:\n      waiting", "    history: {was: {transitions: ▸[{target: waiting, cond: audio}]}}\n    states:\n      waiting"), "a target and nothing else"),
    "history that leads outside": (changed("    states:\n      waiting", "    history: {was: {transitions: [{target: ▸gone}]}}\n    states:\n      waiting"), "is not inside 'live'"),
    "history named like a state": (changed("    states:\n      waiting", "    history: {▸gone: {transitions: [{target: waiting}]}}\n    states:\n      waiting"), "ids are unique"),
    "invoke without call": (changed("        exit: [stop", "        ▸invoke: {done: a.done}\n        exit: [stop"), "'call' is missing"),
    "invoke of an event": (changed("        exit: [stop", "        invoke: {call: ▸a.done}\n        exit: [stop"), "is an event, and a bare name calls a hook"),
    "invoke ends in a pattern": (changed("        exit: [stop", "        invoke: [{call: x, failed: ▸a.*}]\n        exit: [stop"), "publish one event by its full name"),
    "invoke with a misspelt key": (changed("        exit: [stop", "        invoke: {call: x, ▸fail: a.done}\n        exit: [stop"), "(did you mean 'failed'?)"),
    "final state that invokes": (changed("    final: true\n", "    final: true\n    ▸invoke: {call: x}\n"), "cannot have 'invoke'"),
    "final state that defers": (changed("    final: true\n", "    final: true\n    ▸defer: [a.done]\n"), "cannot have 'defer'"),
    "defer of no event": (changed("        exit: [stop", "        defer: [▸Done]\n        exit: [stop"), "is not an event name"),
    "defer of an end": (changed("        exit: [stop", "        defer: [▸done.state.live]\n        exit: [stop"), "only a transition can have it"),
    # transitions
    "transitions is a mapping": (chart("  a:\n    initial: true\n    transitions: ▸{event: a.done, target: a}\n"), "put '- ' before each"),
    "transition is a word": (changed("- {event: call.ended, target: gone}", "- ▸gone"), "item 1 of 'transitions' must be a mapping"),
    "unknown target": (changed("{unless: all_ready, target: waiting}", "{unless: all_ready, target: ▸wating}"), "(did you mean 'waiting'?)"),
    "target is a list": (changed("{unless: all_ready, target: waiting}", "{unless: all_ready, target: ▸[waiting]}"), "must be text, not a list"),
    "transition with misspelt key": (changed("{unless: all_ready,", "{▸unles: all_ready,"), "(did you mean 'unless'?)"),
    "transition with to": (changed("{unless: all_ready, target: w", "{unless: all_ready, ▸to: w"), "unknown key 'to'"),
    "transition event with when": (changed("- {event: call.ended,", "- {event: ▸{event: call.ended},"), "must be the name of an event"),
    "event done.state": (changed("- {event: call.ended,", "- {event: ▸done.state.live,"), "never happens: 'live' has no final state inside"),
    "event done of nobody": (changed("- {event: call.ended,", "- {event: ▸done.state.lve,"), "(did you mean 'live'?)"),
    "trigger done.state": (changed("ready_on: media.track_started", "ready_on: ▸done.state.live"), "only a transition can have it"),
    "published done.state": (changed("publish: call.talked", "publish: ▸done.state.live"), "it cannot be published"),
    "event done pattern": (changed("- {event: call.ended,", "- {event: [call.ended, ▸done.*],"), "name the one, as in done.state.greeting"),
    "internal that leaves": (changed("- {event: call.ended, ", "- {event: call.ended, ▸internal: true, "), "remove 'internal: true'"),
    "internal is a word": (changed("- {event: call.ended, ", "- {event: call.ended, internal: ▸on, "), "must be true or false"),
    "neither event nor target": (changed("- {unless: all_ready, target: waiting}", "- ▸{unless: all_ready}"), "would run for ever"),
    "eventless to itself": (changed("- {unless: all_ready, target: waiting}", "- ▸{target: talking}"), "would run for ever"),
    # guards
    "guard on unknown dependency": (changed("cond: audio and", "cond: ▸adio and"), "(did you mean 'audio'?)"),
    "second name unknown": (changed("cond: audio and visits", "cond: audio and ▸vioce and visits"), "(did you mean 'voice'?)"),
    "guard unknown in quotes": (changed("cond: audio and visits.waiting < 3", "cond: 'audio and ▸vioce'"), "(did you mean 'voice'?)"),
    "guard unknown after doubled quotes": (changed("cond: audio and visits.waiting < 3", "cond: 'data.x == ''a'' and ▸vioce'"), "'voice'"),
    "guard unknown in double quotes": (changed("cond: audio and visits.waiting < 3", "cond: \"data.x == 'a' and ▸vioce\""), "'voice'"),
    "guard on a remembered fact": (changed("unless: all_ready", "unless: ▸caller"), "(did you mean 'meta.caller'?)"),
    "guard on a state": (changed("unless: all_ready", "unless: ▸talking"), "(did you mean In('talking')?)"),
    "guard of lower-case true": (changed("unless: all_ready", "unless: audio or ▸true"), "(did you mean True?)"),
    "guard is a boolean": (changed("unless: all_ready", "unless: ▸true"), "must be an expression in text"),
    "guard is not written": (changed("unless: all_ready", "▸unless: "), "'unless' is empty: give it a value, or remove it"),
    "invoke is not written": (changed("        exit: [stop_audio]\n", "        invoke: {call: ask, ▸done: }\n"), "'done' is empty"),
    "guard is empty": (changed("unless: all_ready", "unless: '▸'"), "the expression is empty"),
    "guard visits unknown state": (changed("visits.waiting < 3", "▸visits.wating < 3"), "(did you mean 'waiting'?)"),
    "guard in unknown state": (changed("unless: all_ready", "unless: In(▸'takling')"), "(did you mean 'talking'?)"),
    "guard reads unknown fact": (changed("unless: all_ready", "unless: ▸meta.calller"), "'caller'"),
    "guard of C": (changed("unless: all_ready", "unless: audio &▸& voice"), "write 'and', not '&&'"),
    "guard that assigns": (changed("unless: all_ready", "unless: data.x ▸= 5"), "write '==', not '='"),
    "guard that calls": (changed("unless: all_ready", "unless: audio and ▸open('x')"), "nothing can be called but In('state')"),
    "guard with a method": (changed("unless: all_ready", "unless: ▸data.x.lower()"), "nothing can be called"),
    "guard with an underscore": (changed("unless: all_ready", "unless: ▸data.__class__"), "underscore"),
    "guard with a field of a name": (changed("unless: all_ready", "unless: ▸audio.x"), "only data, meta and visits have fields"),
    "guard with a lambda": (changed("unless: all_ready", "unless: '▸lambda: 1'"), "is not allowed here"),
    "guard with a power": (changed("unless: all_ready", "unless: ▸9 ** 9"), "is not allowed here"),
    "guard with an index": (changed("unless: all_ready", "unless: \"▸data['x']\""), "is not allowed here"),
    "guard too long": (changed("unless: all_ready", "unless: ▸" + "audio and " * 60 + "audio"), "longer than 500 characters"),
    "guard too deep": (changed("unless: all_ready", "unless: " + "not " * 20 + "-" * 11 + "▸" + "-" * 60 + "1"), "nested too deeply"),
    # timers
    "unknown timeout": (changed("after: {setup: gone}", "after: {▸setpu: gone}"), "(did you mean 'setup'?)"),
    "bad delay": (changed("          1h:", "          ▸1hour:"), "is not a duration"),
    "delay of zero": (changed("          1h:", "          ▸0s:"), "above 0s"),
    "delay below zero": (changed("          1h:", "          ▸-1s:"), "is not a duration"),
    "after is a list": (changed("after: {setup: gone}", "after: ▸[setup]"), "must map a delay to a target"),
    "after is a duration": (changed("after: {setup: gone}", "after: ▸30s"), "as in {30s: terminating}"),
    "unknown target of a timer": (changed("after: {setup: gone}", "after: {setup: ▸gon}"), "(did you mean 'gone'?)"),
    "unknown target in a timer's mapping": (changed("{cond: not voice, target: gone}", "{cond: not voice, target: ▸gon}"), "(did you mean 'gone'?)"),
    "timer leads nowhere": (changed("{cond: not voice, target: gone}", "▸{cond: not voice}"), "this timer does nothing"),
    "timer with event": (changed("{cond: not voice, target", "{▸event: a.done, target"), "a timer has no event"),
    "backoff that shortens": (changed("{cond: not voice, target", "{backoff: ▸0.5, target"), "must be a number above 1"),
    "backoff is a word": (changed("{cond: not voice, target", "{backoff: ▸twice, target"), "must be a number"),
    "max without backoff": (changed("{cond: not voice, target", "{▸max: 4h, target"), "add backoff: 2"),
    "max below the delay": (changed("{cond: not voice, target", "{backoff: 2, max: ▸4s, target"), "shorter than the first delay"),
    "timer is a number": (changed("after: {setup: gone}", "after: {setup: ▸5}"), "must lead to a state"),
    # actions
    "action is a number": (changed("exit: [stop_audio]", "exit: [stop_audio, ▸5]"), "must be an action"),
    "event as a bare name": (changed("exit: [stop_audio]", "exit: [stop_audio, ▸call.closed]"), "write {publish: call.closed}"),
    "hook in capitals": (changed("exit: [stop_audio]", "exit: [stop_audio, ▸stopAll]"), "(did you mean 'stop_all'?)"),
    "hook with arguments": (changed("exit: [stop_audio]", "exit: [stop_audio, ▸stop()]"), "is not the name of a hook"),
    "action of unknown kind": (changed("exit: [stop_audio]", "exit: [stop_audio, {▸publsh: a.done}]"), "(did you mean 'publish'?)"),
    "two actions in one": (changed("exit: [stop_audio]", "exit: [stop_audio, ▸{publish: a.done, call: b}]"), "write several as a list"),
    "publish a pattern": (changed("{publish: call.talked}", "{publish: ▸call.*}"), "publish one event by its full name"),
    "publish one token": (changed("{publish: call.talked}", "{publish: ▸talked}"), "is not an event name"),
    "publish without event": (changed("{publish: call.talked}", "{▸publish: {data: {}}}"), "the key 'event' is missing"),
    "publish with unknown key": (changed("data: {who:", "▸dta: {who:"), "(did you mean 'data'?)"),
    "publish data is a list": (changed("data: {who: {expr: meta.caller}}", "data: ▸[a]"), "must be a mapping of fields"),
    "publish data is one expression": (changed("data: {who: {expr: meta.caller}}", "data: ▸{expr: data.x}"), "give the expression a field"),
    "expression beside others": (changed("{expr: meta.caller}", "▸{expr: meta.caller, x: 1}"), "'x' stands beside 'expr'"),
    "publish reads unknown fact": (changed("{expr: meta.caller}", "{expr: ▸meta.caler}"), "nothing is remembered as 'meta.caler'"),
    "publish reads unknown fact, deep": (changed("{expr: meta.caller}", "[1, {a: {expr: ▸meta.caler}}]"), "'meta.caler'"),
    "publish reads unknown name": (changed("{expr: meta.caller}", "{expr: ▸callr}"), "unknown dependency 'callr'"),
    "expression in publish is no text": (changed("{expr: meta.caller}", "{expr: ▸5}"), "must be an expression in text"),
    # properties
    "property of two kinds": (changed("talks: {sometimes:", "talks: {always: audio, ▸sometimes:"), "a property has one kind"),
    "property of no kind": (changed("  talks: {sometimes: \"In('talking')\"}", "  ▸talks: {}"), "a property needs one of always"),
    "property of unknown kind": (changed("talks: {sometimes:", "talks: {▸somtimes:"), "(did you mean 'sometimes'?)"),
    "property is a word": (changed("{sometimes: \"In('talking')\"}", "▸talking"), "must be a mapping with keys such as always"),
    "property in unknown state": (changed("\"In('talking')\"", "\"In(▸'takling')\""), "(did you mean 'talking'?)"),
    "within without leads_to": (changed("talks: {", "talks: {▸within: 5s, "), "goes with 'leads_to' only"),
    "within is a number": (changed("within: 45s", "within: ▸45"), "as in 45s"),
    "leads_to one expression": (changed("[\"In('waiting')\", \"In('gone')\"]", "▸[audio]"), "a list of two expressions"),
    "leads_to a wrong expression": (changed("\"In('gone')\"", "'audio ▸audio'"), "not an expression"),
    "reachable state unknown": (changed("\"In('talking')\"}", "\"In('talking')\"}\n  ends_once: {always_reachable: ▸gon}"), "(did you mean 'gone'?)"),
    "closes an unknown action": (changed("{start_audio: stop_audio}", "{▸start_adio: stop_audio}"), "(did you mean 'start_audio'?)"),
    "closes with an unknown action": (changed("{start_audio: stop_audio}", "{start_audio: ▸stop_adio}"), "(did you mean 'stop_audio'?)"),
}  # fmt: skip


def unmark(marked: str) -> tuple[str, int, int]:
    """The text without its mark, and the mark's line and column."""
    before, mark, after = marked.partition(MARK)
    assert mark, "a case marks the place of its problem"
    assert MARK not in after, "a case marks one place"
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def refused(content: str | bytes, path: str = "call.yaml") -> list[Problem]:
    definition, problems = check_definition(content, path)
    assert definition is None
    return problems


def test_the_good_call_is_good() -> None:
    definition, problems = check_definition(GOOD, "call.yaml")
    assert definition is not None
    assert problems == []


def test_there_are_a_hundred_broken_definitions() -> None:
    assert len({unmark(text)[0] for text, _ in CASES.values()}) == len(CASES) >= 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_broken_definition_is_refused_at_its_place_with_a_cure(case: str) -> None:
    marked, fragment = CASES[case]
    text, line, column = unmark(marked)
    found = [str(problem) for problem in refused(text) if problem.severity == "error"]
    expected = f"call.yaml:{line}:{column}: error: "
    assert any(problem.startswith(expected) and fragment in problem for problem in found), "\n".join([expected, *found])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_broken_definition_raises_nothing_but_a_definition_error(case: str) -> None:
    with pytest.raises(DefinitionError):
        parse_definition(unmark(CASES[case][0])[0])


# Mistakes that are one thing to their author: exactly one problem is reported, not what follows from it.
ALONE = [
    "unknown target", "misspelt key", "duration without unit", "duplicate key", "required is a word",
    "guard on unknown dependency", "unknown timeout", "state is a number", "transition is a word", "number as delay",
    "initial is a word", "no initial state", "value is a number", "name is a number", "own tag",
    "dependency is a number", "event with one token", "alias",
]  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
def test_one_mistake_is_one_problem(case: str) -> None:
    problems = refused(unmark(CASES[case][0])[0])
    assert len(problems) == 1, "\n".join(map(str, problems))


BYTES = {
    "latin 1": (b"name: call\ndescription: caf\xe9\n", 2, 17, "save the file as UTF-8"),
    "UTF-16": ("name: call\n".encode("utf-16"), 1, 1, "not"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", 1, 1, "binary"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", 1, 2, "binary"),
    "zeros": (b"\0" * 4096, 1, 1, "binary"),
    "ten megabytes": (b"name: call\n" * 1_000_000, 1, 1, "limit of 1 MiB"),
    "ten megabytes of nothing": (b" " * 10_000_000, 1, 1, "limit of 1 MiB"),
    "cut in the middle of a character": ("name: é".encode()[:-1], 1, 7, "save the file as UTF-8"),
}


@pytest.mark.parametrize("case", BYTES)
def test_broken_bytes_are_refused_at_their_place(case: str) -> None:
    content, line, column, fragment = BYTES[case]
    (problem,) = refused(content)
    assert (problem.line, problem.column) == (line, column)
    assert fragment in problem.message


def test_file_over_the_limit_is_refused_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_bytes(GOOD.encode() + b"#" * 10_000_000)
    with pytest.raises(DefinitionError, match=r"big\.yaml:1:1: error: the file is larger than the limit of 1 MiB"):
        load_definition(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"none\.yaml:1:1: error: there is no such file"):
        load_definition(tmp_path / "none.yaml")


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="is a directory: name the YAML file inside it"):
        load_definition(tmp_path)


def test_impossible_path_is_refused() -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_definition("a\0b.yaml")


def test_all_mistakes_of_a_file_are_reported_at_once() -> None:
    text = (
        "name: Call\nversion: '1'\nretain: 5\nretian: 5s\nversion: 2\n"
        "dependencies: {audio: {ready_on: media.started, required: yes}}\n"
        "states:\n  a:\n    initial: true\n    transitions:\n"
        "      - {event: call.ended, target: bb}\n      - {cond: adio, target: b}\n      - {cond: 'audio &', target: b}\n"
        "    after: {setup: b, 5x: b}\n    invok: {call: x}\n"
        "  b: {final: true, enter: [call.ended], after: {5s: a}}\n"
    )
    assert {(problem.line, problem.column) for problem in refused(text)} == {
        (1, 7), (2, 10), (3, 9), (4, 1), (5, 1), (6, 59), (11, 37), (12, 16), (13, 24), (14, 13), (14, 23),
        (15, 5), (16, 28), (16, 41),
    }  # fmt: skip


def test_problems_come_in_the_order_of_the_file() -> None:
    problems = refused("states: {a: 5}\nretain: 5\nname: 5\n")
    assert [problem.line for problem in problems] == [1, 2, 3]


def only_answers(text: str | bytes) -> None:
    """A definition or a definition error, and nothing else ever."""
    definition, problems = check_definition(text, "any.yaml")
    assert isinstance(definition, Definition) or any(problem.severity == "error" for problem in problems)
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)


@given(st.text() | st.binary())
def test_any_text_gives_a_definition_or_problems(text: str | bytes) -> None:
    only_answers(text)


YAML_PIECES = st.text(alphabet="ab:-?[]{}&*!|>'\"%@#,.<=~\\ \n\t01", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 40), YAML_PIECES)
@example(0, 0, "? |\n")
@example(0, 0, "!<tag:yaml.org,2002:map>\n")
def test_any_mutation_of_a_good_file_gives_a_definition_or_problems(at: int, drop: int, put: str) -> None:
    only_answers(GOOD[:at] + put + GOOD[at + drop :])


WORDS = sorted(
    {word for word in GOOD.replace("\n", " ").split(" ") if word} | {"null", "5", "[]", "{}", "'x'", "[a, 5]"}
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), min_size=1, max_size=4))
def test_any_exchange_of_words_gives_a_definition_or_problems(exchanges: list[tuple[str, str]]) -> None:
    text = GOOD
    for old, new in exchanges:
        text = text.replace(old, new, 1)
    only_answers(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "5s", "a.b", "In('a')", "audio", ""])
KEYS = sorted(
    {
        field.name
        for cls in (Definition, Dependency, State, Transition, Publish, Trigger, Property)
        for field in fields(cls)
    }
)
KEYS += ["publish", "call", "expr", "5s", "a", "b"]
SHAPES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(KEYS),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["states", "dependencies", "remember", "timeouts", "properties"]), SHAPES))
def test_any_data_in_the_places_of_a_definition_gives_a_definition_or_problems(parts: dict[str, object]) -> None:
    only_answers(json.dumps({"name": "call", **parts}))
