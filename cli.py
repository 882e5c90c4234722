"""The command's entry: it gathers the commands of :mod:`phasebus_commands`, and says how the process ends.

Exit status: 0 good, 1 problems found, 2 wrong usage, 130 interrupted. No traceback reaches a user.
"""

from __future__ import annotations

import os
import signal
import sys

import click

from phasebus_commands.diff import diff
from phasebus_commands.explore import explore
from phasebus_commands.reduce import reduce
from phasebus_commands.run import run
from phasebus_commands.schema import schema
from phasebus_commands.show import show
from phasebus_commands.simulate import simulate
from phasebus_commands.test import test
from phasebus_commands.validate import validate

_COMMANDS = (diff, explore, reduce, run, schema, show, simulate, test, validate)


def main() -> None:
    """Run the command and end the process."""
    if hasattr(signal, "SIGPIPE"):
        # Whoever read our output (head, say) has seen enough: end quietly, as other filters do.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(run_command())


def run_command() -> int:
    """Run the command with the arguments of the process; returns the exit status."""
    try:
        return int(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        return _explain_failure(error)


@click.group(
    commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="phasebus", message="phasebus %(version)s")
def cli() -> None:
    """Declare the phases of a connection in YAML; events drive them, readiness guards them.

    \b
    phasebus show whatsapp_call                     look at a definition that ships with phasebus
    phasebus simulate whatsapp_call happy_call      run one of its scenarios on a virtual clock
    phasebus explore whatsapp_call                  try every order of events
    phasebus reduce whatsapp_call --events …        from a recording to the smallest scenario that shows it
    phasebus diff old.yaml new.yaml                 may this go live: what becomes of the calls that live?
    phasebus test whatsapp_call                     run them all as tests
    phasebus validate calls/my_call.yaml            check one of your own
    phasebus run my_call.yaml < events.jsonl        run it live: events in, lifecycle events out

    DEFINITION is a path to a YAML or SCXML file, or the name of a shipped definition.
    """


def _explain_failure(error: Exception) -> int:
    """Say what went wrong, in words; returns the exit status."""
    from bus.errors import PhasebusError

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, PhasebusError):
        click.echo(str(error), err=True)
        return 1
    if isinstance(error, OSError):
        said = ("phasebus", error.filename, error.strerror or error)
        click.echo(": ".join(str(part) for part in said if part), err=True)
        return 1
    click.echo(f"phasebus: unexpected {type(error).__name__}: {error} (PHASEBUS_TRACEBACK=1 shows where)", err=True)
    if os.environ.get("PHASEBUS_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    return 1


if __name__ == "__main__":
    main()
