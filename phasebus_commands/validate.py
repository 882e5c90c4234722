"""``phasebus validate``."""

from __future__ import annotations

import json

import click

from phasebus_commands.terminal import make_console


@click.command(short_help="Check definitions and scenarios.")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--strict", is_flag=True, help="Warnings are a failure too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, nothing else on standard output.")
@click.option("--sarif", is_flag=True, help="SARIF 2.1.0 for code hosts, nothing else on standard output.")
@click.option("--rules", "list_rules", is_flag=True, help="List all rules instead.")
@click.option("--explain", metavar="RULE", help="Explain a rule instead, with an example of each side.")
def validate(
    paths: tuple[str, ...], strict: bool, as_json: bool, sarif: bool, list_rules: bool, explain: str | None
) -> int:
    """Check definitions and scenarios: files, folders of them, or names of shipped definitions.

    Every problem of every file is reported, as path:line:column. Warnings alone are no failure.

    \b
    phasebus validate definitions/
    phasebus validate my_call.yaml --strict
    phasebus validate my_call.yaml --json | jq .message
    phasebus validate --explain dead-end
    """
    from statemachines.validation import validate_paths

    if list_rules or explain is not None:
        return _show_rules(explain)
    if not paths:
        raise click.UsageError("Give a PATH to check, --rules or --explain RULE.")
    if as_json and sarif:
        raise click.UsageError("Give --json or --sarif, and not both.")
    report = validate_paths(paths)
    if sarif:
        from statemachines.rendering.sarif import sarif_log

        click.echo(json.dumps(sarif_log(report.problems), indent=2, ensure_ascii=False))
    else:
        for problem in report.problems:
            click.echo(json.dumps(problem.to_dict()) if as_json else str(problem))
    click.echo(report.summary(), err=True)
    return 1 if report.failed or (strict and report.problems) else 0


def _show_rules(explained: str | None) -> int:
    from statemachines.language.rules import find_rule
    from statemachines.rendering.rules import render_rule, render_rules

    rendered = render_rules() if explained is None else render_rule(find_rule(explained))
    make_console().print(rendered, soft_wrap=explained is None)  # a rule of the list stays on its line
    return 0
