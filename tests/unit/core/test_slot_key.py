"""Public keys of slots: what a file must hold, and what others are told."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from edgecompress.core import slot_key
from edgecompress.core.errors import ConfigError
from edgecompress.core.slot_key import PREFIX, PublicKey

KEY = PublicKey(raw=bytes(range(32)))


def pem(der: bytes) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"


def test_a_key_is_what_its_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(KEY.pem())
    assert slot_key.load(path) == KEY
    assert KEY.fingerprint == "SHA256:Yw3NKWbEM2aRElRIu7JbT/QSpJxzLbLIq8G4WBvXEN0"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no public key: it does not begin with -----BEGIN PUBLIC KEY-----"),
        ("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", "is a private key"),
        (pem(PREFIX + bytes(31)), "holds a public key of another kind than Ed25519"),
        (pem(PREFIX.replace(b"\x70", b"\x6e") + bytes(32)), "holds a public key of another kind than Ed25519"),
        (KEY.pem().replace("MCow", "MC*w"), "is damaged"),
        (KEY.pem().replace("-----END PUBLIC KEY-----", ""), "is no public key"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        slot_key.load(path)
    assert complaint in caught.value.message


def test_a_private_key_is_told_where_the_public_one_lies(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(ConfigError) as caught:
        slot_key.load(path)
    assert caught.value.hint == f"give the public one that lies beside it: {path}.pub"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the public key .*: No such file or directory"):
        slot_key.load(tmp_path / "key.pub")
