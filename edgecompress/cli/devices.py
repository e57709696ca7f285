"""The commands about devices: `edgecompress devices …`. Those here are about boards behind SSH."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import rich_click as click

from edgecompress.cli import attached
from edgecompress.core.errors import UnreachableError, UsageError, WrongDeviceError

if TYPE_CHECKING:
    from edgecompress.deploy._ssh_devices import OfferedKey
    from edgecompress.deploy._ssh_models import Version

ON_THE_BOARD = "for f in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $f; done"

address_argument = click.argument("address")
model_option = click.option("--model", help="The model's name, where the folder holds several.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.group("devices")
def devices_group() -> None:
    """List what is attached here and see who answers; trust boards behind SSH, look at them, and roll them back.

    \b
    ADDRESS is serial://usb:SERIALNUMBER or serial:///dev/ttyACM0 for check; for the others it is
    ssh://[user@]host[:port][/folder], or ssh:// and a host of ~/.ssh/config.
    Examples:
      edgecompress devices list
      edgecompress devices check serial://usb:066DFF383333554E43184325
      edgecompress devices trust ssh://pi@raspberrypi.local
      edgecompress devices probe ssh://pi@raspberrypi.local
    """


devices_group.add_command(attached.list_devices)
devices_group.add_command(attached.check)


@devices_group.command()
@address_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask. Only together with --fingerprint.")
@click.option("--fingerprint", help="The key's SHA-256 as you know it (SHA256:...); another key is refused.")
@json_option
def trust(address: str, yes: bool, fingerprint: str | None, as_json: bool) -> None:
    """Show the key of the host at ADDRESS and, when you confirm it, add it to ~/.ssh/known_hosts.

    Compare the fingerprint with what the board itself prints:  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

    \b
    Examples:
      edgecompress devices trust ssh://pi@raspberrypi.local
      edgecompress devices trust ssh://pi --yes --fingerprint SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
    """
    from edgecompress import pipeline

    if yes and fingerprint is None:
        raise UsageError("--yes needs --fingerprint", hint="nobody would look at the key; say which one you expect")
    board = pipeline.remote_board(address)
    offered = board.offered_key()
    added = None
    if not offered.is_known:
        _refuse_another(offered, fingerprint)
        if not yes:
            _ask(offered)
        added = board.trust(offered)
    _print_key(offered, added, as_json)


@devices_group.command()
@address_argument
@json_option
def probe(address: str, as_json: bool) -> None:
    """Show what the board at ADDRESS is, as a deployment looks at it.

    \b
    Example:
      edgecompress devices probe ssh://pi@raspberrypi.local
    """
    from edgecompress import pipeline

    told = asdict(pipeline.remote_board(address).look())
    facts = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in told.items()}
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name:<20} {_in_words(value)}")


@devices_group.command()
@address_argument
@json_option
def versions(address: str, as_json: bool) -> None:
    """List the models that were deployed to ADDRESS and the versions that are kept of each.

    \b
    Example:
      edgecompress devices versions ssh://pi@raspberrypi.local
    """
    from edgecompress import pipeline

    models = pipeline.remote_board(address).versions()
    if as_json:
        told = [{"model": name, "versions": [_as_json(each) for each in kept]} for name, kept in models.items()]
        click.echo(json.dumps({"models": told}))
        return
    for name, kept in models.items():
        click.echo(name)
        for each in kept:
            mark = "current" if each.is_current else ""
            click.echo(f"  {each.build_id}  {_date(each)}  {each.size:>12,} bytes  {mark}".rstrip())


@devices_group.command()
@address_argument
@model_option
@click.option("--target", "-t", "target_name", help="For a board with slots: its profile, by name or path.")
@json_option
def rollback(address: str, model: str | None, target_name: str | None, as_json: bool) -> None:
    """Make the version before the current one current again; on a board with slots, the model in the other slot.

    \b
    Examples:
      edgecompress devices rollback ssh://pi@raspberrypi.local --model wakeword
      edgecompress devices rollback serial:///dev/ttyACM0 --target my-board.toml
    """
    from edgecompress import pipeline

    if target_name is not None:
        _revert_slot(address, target_name, as_json)
        return
    done = pipeline.remote_board(address).roll_back(model)
    if as_json:
        told = {"model": done.model, "current": _as_json(done.current), "replaced": _as_json(done.replaced)}
        click.echo(json.dumps(told))
        return
    click.echo(f"{done.model}: {done.current.build_id} is current; it was {done.replaced.build_id}")


@devices_group.command()
@address_argument
@model_option
@json_option
def unlock(address: str, model: str | None, as_json: bool) -> None:
    """Remove the lock of a deployment that ended without removing it, on a machine that is gone.

    \b
    Example:
      edgecompress devices unlock ssh://pi@raspberrypi.local
    """
    from edgecompress import pipeline

    removed = pipeline.remote_board(address).remove_locks(model)
    if as_json:
        click.echo(json.dumps({"removed": removed}))
        return
    for name, holder in removed.items():
        click.echo(f"{name}: {holder} held the lock")


def _revert_slot(address: str, target_name: str, as_json: bool) -> None:
    from edgecompress.core import target
    from edgecompress.pipeline import slots

    was, now = slots.roll_back(address, target.load(target_name))
    if as_json:
        facts = {"slot": now.name, "build_id": now.build_id} if now is not None else {"slot": "firmware"}
        click.echo(json.dumps({**facts, "replaced": was}))
        return
    runs = f"build {now.build_id} in slot {now.name}" if now is not None else "the firmware's own network"
    click.echo(f"{runs} runs; slot {was} is rejected")


def _in_words(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _refuse_another(offered: OfferedKey, fingerprint: str | None) -> None:
    if fingerprint is not None and fingerprint != offered.key.fingerprint:
        raise WrongDeviceError(
            f"{offered.host} shows the key {offered.key.kind} {offered.key.fingerprint}, not {fingerprint}",
            hint="is this the board's address, and the fingerprint of its key of this type? nothing was written",
        )


def _ask(offered: OfferedKey) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{offered.host} shows the key {offered.key.kind} {offered.key.fingerprint}, "
            "and nobody can be asked about it here",
            hint=f"when it is the board's: --yes --fingerprint {offered.key.fingerprint}",
        )
    click.echo(f"{offered.host} shows the key\n  {offered.key.kind} {offered.key.fingerprint}", err=True)
    click.echo(f"The board itself prints its keys with:\n  {ON_THE_BOARD}", err=True)
    if not click.confirm("Is it the same?", err=True):
        raise UnreachableError(f"the key of {offered.host} was not trusted", hint="nothing was written")


def _print_key(offered: OfferedKey, added: str | None, as_json: bool) -> None:
    key, host = offered.key, offered.host
    if as_json:
        click.echo(json.dumps({"host": host, "type": key.kind, "fingerprint": key.fingerprint, "added_to": added}))
        return
    click.echo(f"{host} {key.kind} {key.fingerprint}: " + (f"added to {added}" if added else "known already"))


def _as_json(version: Version) -> dict[str, Any]:
    return {
        "build_id": version.build_id,
        "sha256": version.sha256,
        "bytes": version.size,
        "since": _date(version),
        "current": version.is_current,
    }


def _date(version: Version) -> str:
    return datetime.fromtimestamp(version.changed_s, UTC).isoformat(timespec="seconds")
