"""A definition from a stranger stays text in its page, and nothing but the page's own script runs."""

from __future__ import annotations

import json
import re

import attrs
import pytest

from statemachines.language import parse_definition
from statemachines.rendering.flow import flow
from tests.page_helpers import Pages, configuration, copied, page_of, parsed, wait
from tests.test_rendering_dot import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_description_stays_text(text: str, pages: Pages) -> None:
    hostile = f"{text} </script><script>window.hurt = 1</script> --> <!-- ]]> {{{{data}}}} ' onload=x"
    definition = parse_definition(
        """
        name: x
        states:
          a: {initial: true, transitions: [{event: go.now, cond: "data.word == 'w'", target: b}]}
          b: {final: true}
        """
    )
    page = pages.made(attrs.evolve(definition, description=hostile))
    shown = page.locator(".description").inner_text()
    assert "</script><script>window.hurt = 1</script>" in shown
    assert page.evaluate("window.hurt") is None
    assert page.locator("script").count() == 2
    page.get_by_role("button", name="go.now").first.click()
    assert configuration(page) == ["b"]


def test_hostile_payloads_and_scenarios_stay_text_and_come_back_whole(pages: Pages) -> None:
    guarded = "</script><img src=x onerror=hurt()> ' & <!--"
    word = guarded + ' " \\ \u2028 \U0001f600 \x7f'
    guard = json.dumps(f'data.word != "{guarded}"')
    definition = parse_definition(
        f"""
        name: x
        states:
          a: {{initial: true, transitions: [{{event: go.now, cond: {guard}, target: b}}]}}
          b: {{final: true}}
        """
    )
    scenario_text = flow(
        {
            "description": word,
            "connections": {"conn_1": {"metadata": {"x": word}}},
            "steps": [{"publish": "go.now", "data": {"word": word, "other": word}}],
        }
    )
    page = pages.made(definition, scenario=parsed(scenario_text, definition))
    assert configuration(page) == ["b"]
    assert page.locator("img").count() == 0
    again = parsed(copied(page), definition)
    assert again.description == word
    assert again.steps[0].action.data == {"word": word, "other": word}  # type: ignore[union-attr]


def test_nothing_but_the_page_s_own_script_may_run(pages: Pages) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page_of("tcp"))
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "unsafe" not in policy[1]
    page = pages.shipped("tcp")
    refused = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective));
          const added = document.createElement('script');
          added.textContent = 'window.hurt = 1';
          document.body.append(added);
        })"""
    )
    assert refused.startswith("script-src")
    (said,) = pages.wrong
    assert "Content Security Policy" in said
    pages.wrong.clear()
    assert page.evaluate("window.hurt") is None


def test_a_definition_whose_timers_never_rest_is_played_on_and_only_the_last_of_it_is_shown(pages: Pages) -> None:
    definition = parse_definition(
        """
        name: restless
        states:
          on: {initial: true, after: {1ms: off}, transitions: [{event: it.ended, target: over}]}
          off: {after: {1ms: on}}
          over: {final: true}
        """
    )
    page = pages.made(definition)
    wait(page, "19")
    assert page.locator("#now").inner_text() == "19 s"
    assert page.locator("#trace li").count() < 1_000
    assert page.locator("#trace li").first.inner_text() == "18,500 earlier steps"
    assert page.evaluate("performance.memory.usedJSHeapSize") < 200e6
    wait(page, "2")
    assert "more than" in page.locator("body").inner_text()
