"""`edgecompress doctor`: what is installed here, and what is missing for which target."""

from __future__ import annotations

import json
from dataclasses import asdict

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def doctor(as_json: bool) -> None:
    """Show which compilers, emulators, flashers and Python packages are there, and which targets that serves.

    \b
    Examples:
      edgecompress doctor
      edgecompress doctor --json
    """
    from edgecompress.core import installed

    survey = installed.shipped()
    if as_json:
        click.echo(json.dumps(asdict(survey)))
        return
    from edgecompress.cli.tables import print_survey

    print_survey(survey)
