"""`edgecompress devices list` and `check`: what is attached to this machine, and who answers there."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click

from edgecompress.core import wire

if TYPE_CHECKING:
    from edgecompress.deploy._attached import Greeting

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.command("list")
@json_option
def list_devices(as_json: bool) -> None:
    """List serial ports, debug probes, boards in a bootloader and UF2 drives of this machine. Opens none of them.

    Each with the address that names it wherever it is plugged in, and the shipped targets that it could be by VID:PID.

    \b
    Examples:
      edgecompress devices list
      edgecompress devices list --json
    """
    from edgecompress.pipeline import attached

    found = attached.look()
    if as_json:
        click.echo(json.dumps({"devices": [asdict(each) for each in found]}))
        return
    from edgecompress.cli.tables import print_attached

    print_attached(found)


@click.command()
@click.argument("address", required=False)
@click.option("--target", "-t", "target_name", help="What the board is: its profile says the rate of the line.")
@json_option
def check(address: str | None, target_name: str | None, as_json: bool) -> None:
    """Say hello to the board at ADDRESS, or to the only one of --target, and show what runs there; changes nothing.

    \b
    Examples:
      edgecompress devices check serial://usb:066DFF383333554E43184325
      edgecompress devices check --target nucleo-l4r5zi
    """
    from edgecompress.core import target
    from edgecompress.pipeline import attached

    greeting = attached.say_hello(address, target.load(target_name) if target_name else None)
    facts = _facts(greeting)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name:<20} {value if value is not None else 'none'}")


def _facts(greeting: Greeting) -> dict[str, str | int | None]:
    hello = greeting.hello
    return {
        "target": hello.target,
        "build_id": hello.build_id,
        "protocol": wire.PROTOCOL_VERSION,
        "port": greeting.port.path,
        "usb_id": greeting.port.usb_id,
        "serial_number": greeting.port.serial_number,
        "baud": greeting.baud,
        "inputs": hello.inputs,
        "outputs": hello.outputs,
        "layers": hello.layers,
        "arena_bytes": hello.arena_bytes,
        "ticks_per_second": hello.ticks_per_second,
        "largest_payload": hello.largest_payload,
    }
