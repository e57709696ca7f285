"""The command line: parse, call the pipeline, print. Decides nothing.

Data goes to stdout, everything else to stderr. Every failure ends in one error, its hint and its exit code.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

import rich_click as click

from edgecompress.core.errors import EdgecompressError, InterruptedRunError, UsageError

logger = logging.getLogger(__name__)

AGAIN_AFTER_S = 0.05


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code that README.md lists."""
    from edgecompress.cli.commands import group

    words = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _insist
    try:
        code = group.main(args=words, prog_name="edgecompress", standalone_mode=False)
    except click.ClickException as error:
        sys.exit(_fail(UsageError(error.format_message()), words))
    except (KeyboardInterrupt, click.Abort):
        for again in (signal.SIGINT, signal.SIGTERM):  # ending is under way: a second signal must not cut it short
            signal.signal(again, signal.SIG_IGN)
        message = "interrupted; finished stages are kept, nothing half-written is left"
        code = _fail(InterruptedRunError(message, hint="the same command goes on where it stopped"), words)
        if arguments is None:
            _end_process(code)
        sys.exit(code)
    except EdgecompressError as error:
        sys.exit(_fail(error, words))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        logger.debug("unexpected", exc_info=True)
        bug = EdgecompressError(
            f"unexpected {type(error).__name__}: {error}",
            hint="this is a defect of edgecompress: please report it with what `edgecompress --verbose …` prints",
        )
        sys.exit(_fail(bug, words))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: EdgecompressError, words: list[str]) -> int:
    """Print the error on stderr, and as one object on stdout when --json was asked for."""
    click.echo(f"error: {error.message}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
    if "--json" in words:
        problem = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        click.echo(json.dumps({"error": problem, **error.figures}))
    return error.exit_code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_process(code: int) -> NoReturn:
    """End with this exit code for sure.

    CPython ends by SIGINT itself, whatever the code, once an interrupt came inside of `exec` of a text, as dataclasses
    use it, though it was handled (Python/pythonrun.c, run_eval_code_obj).
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _insist(dropped: sys.UnraisableHookArgs) -> None:
    """Interrupt again when a signal came inside a finalizer or callback, out of which Python lets no exception."""
    if dropped.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(dropped)
        return
    again = threading.Timer(AGAIN_AFTER_S, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM))
    again.daemon = True
    again.start()
