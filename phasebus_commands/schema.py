"""``phasebus schema``."""

from __future__ import annotations

import click


@click.command(short_help="Print the JSON Schema of definitions, for editors.")
@click.argument("kind", type=click.Choice(["definition", "scenario"]), default="definition")
def schema(kind: str) -> int:
    """Print the JSON Schema of definitions, or that of scenario files, with which editors complete and check them.

    \b
    phasebus schema > phasebus.schema.json
    phasebus schema scenario > scenario.schema.json

    Then write, as the first line of a definition:

    \b
    # yaml-language-server: $schema=phasebus.schema.json
    """
    from statemachines.schemas import schema_text

    click.echo(schema_text(kind), nl=False)
    return 0
