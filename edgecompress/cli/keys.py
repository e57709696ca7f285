"""The commands about the keys that sign models: `edgecompress keys …`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from edgecompress.core.errors import UsageError

if TYPE_CHECKING:
    from edgecompress.core.slot_key import PublicKey

key_argument = click.argument("path", metavar="KEY", type=click.Path(path_type=Path, dir_okay=False))
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.group("keys")
def keys_group() -> None:
    """Make and show the keys that sign models for slots (docs/slots.md).

    A firmware is built with the public key; what is installed into its slots is signed with the private one.

    \b
    Examples:
      edgecompress keys new wakeword.key
      edgecompress keys show wakeword.key.pub
    """


@keys_group.command("new")
@key_argument
@click.option("--passphrase", "with_passphrase", is_flag=True, help="Ask for a passphrase and encrypt the key with it.")
@click.option("--force", is_flag=True, help="Replace a key that is there. Devices of the old one take no models of it.")
@json_option
def new(path: Path, with_passphrase: bool, force: bool, as_json: bool) -> None:
    """Make an Ed25519 key: KEY, which only you may read, and KEY.pub beside it.

    \b
    Examples:
      edgecompress keys new wakeword.key
      edgecompress keys new wakeword.key --passphrase
    """
    from edgecompress.pipeline import signing

    passphrase = _ask_twice() if with_passphrase else None
    public, public_path = signing.new_key(path, passphrase, replace=force)
    _print(public, {"private": str(path), "public": str(public_path)}, as_json)


@keys_group.command("show")
@key_argument
@json_option
def show(path: Path, as_json: bool) -> None:
    """Show the fingerprint of KEY, a private or a public key.

    \b
    Example:
      edgecompress keys show wakeword.key.pub
    """
    from edgecompress.pipeline import signing

    _print(signing.public_half(path, lambda: ask_passphrase(path)), {"file": str(path)}, as_json)


def ask_passphrase(path: Path) -> str:
    """Ask for the passphrase of a key. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"{path} has a passphrase, and nobody can be asked for it here",
            hint="run this on a terminal, or make a key without one: `edgecompress keys new KEY`",
        )
    return str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True))


def _ask_twice() -> str:
    if not sys.stdin.isatty():
        raise UsageError("--passphrase asks for one, and nobody can be asked here", hint="run this on a terminal")
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))


def _print(public: PublicKey, paths: dict[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"fingerprint": public.fingerprint, **paths}))
        return
    click.echo(f"{public.fingerprint} {' '.join(paths.values())}")
