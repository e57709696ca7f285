"""The commands about target profiles: `edgecompress targets …`."""

from __future__ import annotations

import json

import rich_click as click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.group("targets")
def targets_group() -> None:
    """List and show target profiles.

    \b
    Examples:
      edgecompress targets list
      edgecompress targets show mps2-an386
    """


@targets_group.command("list")
@json_option
def list_targets(as_json: bool) -> None:
    """List the shipped profiles.

    \b
    Example:
      edgecompress targets list --json
    """
    from edgecompress.core import target

    profiles = [target.load(name) for name in target.names()]
    if as_json:
        told = [profile.model_dump(mode="json") | {"tried": profile.tried} for profile in profiles]
        click.echo(json.dumps({"targets": told}))
        return
    from edgecompress.cli.tables import print_targets

    print_targets(profiles)


@targets_group.command("show")
@click.argument("name")
@json_option
def show_target(name: str, as_json: bool) -> None:
    """Show one profile: a shipped one by NAME, or your own by its path.

    \b
    Examples:
      edgecompress targets show mps2-an386
      edgecompress targets show my-board.toml
    """
    from edgecompress.core import target

    shown = target.load(name)
    if as_json:
        click.echo(shown.model_dump_json())
        return
    from edgecompress.cli.tables import print_target

    print_target(shown)
