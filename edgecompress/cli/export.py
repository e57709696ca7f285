"""`edgecompress export`: a compiled network for another build system."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click


@click.command("export")
@click.argument("source", metavar="RUN_OR_BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "format_name",
    required=True,
    metavar="FORMAT",
    help="cmake or make, for any target; zephyr, arduino, platformio or cmsis-pack, for microcontrollers.",
)
@click.option(
    "--output", "-o", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new folder."
)
@click.option(
    "--target",
    "-t",
    "target_name",
    help="The profile that the bundle was compiled for, where it is your own and the bundle lies in no run folder.",
)
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def export_command(
    source: Path, format_name: str, folder: Path, target_name: str | None, force: bool, as_json: bool
) -> None:
    """Write the network of RUN_OR_BUNDLE as a project of C sources, with an example that runs its test vectors.

    Nothing of edgecompress is needed to build it. The same bundle gives the same bytes.

    \b
    Examples:
      edgecompress export runs/wakeword --as cmake -o wakeword-cmake
      edgecompress export runs/wakeword --as zephyr -o modules/wakeword
      edgecompress export runs/wakeword/bundle --as arduino -o ~/Arduino/libraries/wakeword --force
    """
    from edgecompress.pipeline import exporting

    written = exporting.export(source, format_name, folder, target_name=target_name, force=force)
    if as_json:
        files = [path.as_posix() for path in written]
        click.echo(json.dumps({"format": format_name, "folder": str(folder), "files": files}))
        return
    click.echo(folder)
