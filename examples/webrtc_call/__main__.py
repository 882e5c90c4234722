"""``python -m examples.webrtc_call``: make the call and tell what happened."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

INTERRUPTED = 130
"""What a shell reports for Ctrl-C."""


def main() -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args()
    try:
        return _call(options)
    except ModuleNotFoundError as error:
        if error.name != "aiortc":
            raise
        print("this example needs aiortc: pip install 'phasebus[webrtc]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hung up", file=sys.stderr)
        return INTERRUPTED
    except (OSError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _call(options: argparse.Namespace) -> int:
    import anyio
    from rich.console import Console

    from examples.webrtc_call.call import make_call
    from examples.webrtc_call.report import json_lines, print_timeline

    async def call() -> None:
        with ExitStack() as stack:
            file = (
                stack.enter_context(options.record.open("w", buffering=1, encoding="utf-8")) if options.record else None
            )
            report = await make_call(frames=options.frames, recording=file, refused=options.refused)
        if options.json:
            print("\n".join(json_lines(report)))
        else:
            print_timeline(report, Console())

    anyio.run(call, backend="asyncio")  # aiortc needs asyncio
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.webrtc_call", description=__doc__)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what the bus was told, as JSON lines")
    parser.add_argument("--json", action="store_true", help="print JSON lines and nothing else")
    parser.add_argument("--frames", type=int, default=25, help="frames of 20 ms to hear before hanging up")
    parser.add_argument("--refused", action="store_true", help="let the provider refuse to connect the call")
    return parser


if __name__ == "__main__":
    sys.exit(main())
