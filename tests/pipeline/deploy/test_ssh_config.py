"""~/.ssh/config and known_hosts, compared with OpenSSH's own programs."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgecompress.core.errors import ConfigError
from edgecompress.deploy import _ssh_config
from edgecompress.deploy import _ssh_known_hosts as known_hosts
from edgecompress.deploy._ssh_endpoint import Endpoint

CASES = 100
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPFRCwMe6YQJL3BTY5ZDXMH6MqVOVqvqLUBsKWZGnD5u"

CONFIG = """\
Include conf.d/*.conf
Port 2200
Host pi gate? !gate9
  HostName 10.0.0.7
  User ann
  IdentityFile ~/.ssh/%h_key
  IdentityFile /keys/second
  IdentitiesOnly yes
  UserKnownHostsFile ~/.ssh/boards /etc/boards
  GlobalKnownHostsFile none
Host behind
  ProxyJump gate1,bob@second:2022
  HostKeyAlias the-board
Host a
  ProxyJump b
Host b
  ProxyJump a
Host piped
  ProxyCommand nc %h %p
Host *
  User everybody
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    (tmp_path / ".ssh" / "config").write_text(CONFIG)
    (tmp_path / ".ssh" / "conf.d" / "work.conf").write_text("Host work\n  HostName work.example\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def endpoint(address: str, home: Path) -> Endpoint:
    return _ssh_config.endpoint(address, system_config=home / "system_config")


def test_a_host_of_the_file_gets_what_the_file_says(home: Path) -> None:
    found = endpoint("pi", home)
    assert (found.host, found.port, found.user, found.agent) == ("10.0.0.7", 2200, "ann", False)
    assert found.identities == (home / ".ssh" / "10.0.0.7_key", Path("/keys/second"))
    assert found.known_hosts == (home / ".ssh" / "boards", Path("/etc/boards"))
    assert (found.url, found.known_as) == ("ssh://ann@pi:2200", "[10.0.0.7]:2200")


def test_what_the_address_says_comes_first(home: Path) -> None:
    found = endpoint("bob@pi:22/~/models", home)
    assert (found.host, found.port, found.user, found.folder) == ("10.0.0.7", 22, "bob", "models")


def test_an_included_file_counts_and_does_not_swallow_what_follows(home: Path) -> None:
    assert endpoint("work", home).host == "work.example"
    assert endpoint("anything", home).port == 2200


def test_the_systems_file_is_asked_last(home: Path) -> None:
    (home / "system_config").write_text("Host *\n  User nobody\n  HostKeyAlias shared\n")
    found = endpoint("anything", home)
    assert (found.user, found.known_as) == ("everybody", "shared")


def test_jump_hosts_come_one_behind_the_other(home: Path) -> None:
    found = endpoint("behind", home)
    second = found.jump
    assert second is not None
    assert (second.host, second.port, second.user) == ("second", 2022, "bob")
    assert second.jump is not None
    assert (second.jump.host, second.jump.user, second.jump.jump) == ("10.0.0.7", "ann", None)
    assert found.known_as == "the-board"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("a", "~/.ssh/config: ProxyJump leads from a to b to a"),
        ("piped", "~/.ssh/config: piped has a ProxyCommand"),
    ],
)
def test_what_cannot_be_followed_is_refused(address: str, message: str, home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        endpoint(address, home)
    assert caught.value.message == message


def test_a_file_that_includes_itself_is_refused(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Include config\n")
    with pytest.raises(ConfigError, match="Include is nested more than 16 deep"):
        endpoint("pi", home)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="openssh-client is not installed")
def test_lines_are_found_as_ssh_keygen_finds_them(tmp_path: Path) -> None:
    """100 drawn files of names, patterns, exclusions and hashes; ssh-keygen -F is the judge."""
    draw = random.Random(5)
    parts = ["board", "[board]:2222", "b*", "*d", "?oard", "!board", "!b*", "other", "[*]:2222", "10.0.0.7", "10.0.0.?"]
    found = 0
    for case in range(CASES):
        path = tmp_path / f"known_{case}"
        names = [",".join(draw.sample(parts, draw.randint(1, 3))) for _ in range(6)]
        path.write_text("".join(f"{name} {KEY}\n" for name in names))
        if case % 4 == 0:
            path.write_text(f"board {KEY}\n[board]:2222 {KEY}\n10.0.0.7 {KEY}\n")
            subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], capture_output=True, check=True)
        host = draw.choice(["board", "[board]:2222", "10.0.0.7", "boar"])
        said = subprocess.run(["ssh-keygen", "-F", host, "-f", path], capture_output=True, text=True, check=False)
        meant = [int(number) for number in re.findall(r"found: line (\d+)", said.stdout)]
        assert [line.number for line in known_hosts.lines_for(host, [path])] == meant, path.read_text()
        found += len(meant)
    assert found > CASES
