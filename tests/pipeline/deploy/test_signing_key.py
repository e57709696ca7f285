"""Keys that sign networks for slots: made once, readable by their owner alone, told nowhere."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from edgecompress.core import slot_key
from edgecompress.core.errors import ConfigError
from edgecompress.deploy import _signing_key

Command = Callable[..., subprocess.CompletedProcess[str]]


def nobody() -> str:
    raise AssertionError("asked for a passphrase")


def test_a_key_and_its_public_half_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "key"
    public = _signing_key.create(path, None, replace=False)
    key = _signing_key.load(path, nobody)
    ed25519.Ed25519PublicKey.from_public_bytes(public.raw).verify(key.sign(b"words"), b"words")
    assert key.public == slot_key.load(tmp_path / "key.pub") == public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_public_file_is_what_others_write(tmp_path: Path) -> None:
    _signing_key.create(tmp_path / "key", None, replace=False)
    key = serialization.load_pem_private_key((tmp_path / "key").read_bytes(), None)
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    assert (tmp_path / "key.pub").read_bytes() == key.public_key().public_bytes(serialization.Encoding.PEM, info)


def test_a_key_is_not_replaced_without_being_told_to(tmp_path: Path) -> None:
    first = _signing_key.create(tmp_path / "key", None, replace=False)
    for gone in ("key", "key.pub"):
        with pytest.raises(ConfigError, match="exists already"):
            _signing_key.create(tmp_path / "key", None, replace=False)
        (tmp_path / gone).rename(tmp_path / f"{gone}.kept")
        with pytest.raises(ConfigError, match="exists already"):
            _signing_key.create(tmp_path / "key", None, replace=False)
        (tmp_path / f"{gone}.kept").rename(tmp_path / gone)
    assert _signing_key.create(tmp_path / "key", None, replace=True) != first


def test_a_passphrase_is_asked_for_and_must_be_right(tmp_path: Path) -> None:
    public = _signing_key.create(tmp_path / "key", "correct horse", replace=False)
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    assert _signing_key.load(tmp_path / "key", lambda: "correct horse").public == public
    with pytest.raises(ConfigError, match=r"the passphrase of .* is wrong"):
        _signing_key.load(tmp_path / "key", lambda: "battery staple")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    _signing_key.create(path, None, replace=False)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"may be read by others \(mode 0640\)") as caught:
        _signing_key.load(path, nobody)
    assert caught.value.hint == f"chmod 600 {path}"


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    private = x25519.X25519PrivateKey.generate()
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (text, b"nonsense", b""):
        path = tmp_path / "key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="holds no Ed25519 private key"):
            _signing_key.load(path, nobody)


def test_the_commands_show_a_fingerprint_and_no_secret(edgecompress: Command, tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = edgecompress("--verbose", "keys", "new", path)
    shown = edgecompress("--verbose", "keys", "show", path)
    public = slot_key.load(tmp_path / "key.pub")
    assert made.stdout.startswith(public.fingerprint)
    assert shown.stdout.startswith(public.fingerprint)
    secret = path.read_text().splitlines()[1]
    assert not any(secret in text for text in (made.stdout, made.stderr, shown.stdout, shown.stderr))


def test_nobody_can_be_asked_for_a_passphrase_without_a_terminal(edgecompress: Command, tmp_path: Path) -> None:
    _signing_key.create(tmp_path / "key", "words", replace=False)
    done = edgecompress("keys", "show", tmp_path / "key", code=2)
    assert "has a passphrase, and nobody can be asked for it here" in done.stderr
