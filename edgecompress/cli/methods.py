"""`edgecompress methods`: which compression methods there are, and what each can be told."""

from __future__ import annotations

import json
from dataclasses import asdict

import rich_click as click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.group("methods")
def methods_group() -> None:
    """List and show the compression methods that a recipe or --step can name.

    \b
    Examples:
      edgecompress methods list
      edgecompress methods show static_int8
    """


@methods_group.command("list")
@json_option
def list_methods(as_json: bool) -> None:
    """List every method with what it does.

    \b
    Example:
      edgecompress methods list --json
    """
    from edgecompress.core import methods

    known = methods.every()
    if as_json:
        click.echo(json.dumps({"methods": [asdict(method) for method in known]}))
        return
    from edgecompress.cli.tables import print_methods

    print_methods(known)


@methods_group.command("show")
@click.argument("name")
@json_option
def show_method(name: str, as_json: bool) -> None:
    """Show the options of the method NAME: their values and defaults.

    \b
    Example:
      edgecompress methods show static_int8
    """
    from edgecompress.core import methods

    method = methods.describe(name)
    if as_json:
        click.echo(json.dumps(asdict(method)))
        return
    from edgecompress.cli.tables import print_method

    print_method(method)
