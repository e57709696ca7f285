"""What known_hosts files say of a key, and how one is added."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from edgecompress.core.errors import StorageError
from edgecompress.deploy import _ssh_known_hosts as known_hosts
from edgecompress.deploy._ssh_known_hosts import HostKey, Verdict

FIRST, SECOND = (HostKey(kind="ssh-ed25519", data=data) for data in (b"first key", b"second key"))
OTHER_KIND = HostKey(kind="ssh-rsa", data=b"rsa key")


def text(key: HostKey) -> str:
    return f"{key.kind} {base64.b64encode(key.data).decode()}"


CASES = {
    "an empty file": ("", Verdict.UNKNOWN),
    "the key": (f"board {text(FIRST)}", Verdict.KNOWN),
    "the key with a comment and tabs": (f"board\t{text(FIRST)}\tof my board", Verdict.KNOWN),
    "another name in capitals": (f"other,BOARD {text(FIRST)}", Verdict.KNOWN),
    "a pattern": (f"b?ar* {text(FIRST)}", Verdict.KNOWN),
    "a pattern that excludes it": (f"*,!board {text(FIRST)}", Verdict.UNKNOWN),
    "a longer name": (f"board2 {text(FIRST)}", Verdict.UNKNOWN),
    "another port": (f"[board]:2222 {text(FIRST)}", Verdict.UNKNOWN),
    "a comment": (f"# board {text(FIRST)}", Verdict.UNKNOWN),
    "another key": (f"board {text(SECOND)}", Verdict.CHANGED),
    "a key of another type": (f"board {text(OTHER_KIND)}", Verdict.CHANGED),
    "both keys": (f"board {text(SECOND)}\nboard {text(FIRST)}", Verdict.KNOWN),
    "the key, revoked": (f"board {text(FIRST)}\n@revoked * {text(FIRST)}", Verdict.REVOKED),
    "another key, revoked": (f"board {text(FIRST)}\n@revoked * {text(SECOND)}", Verdict.KNOWN),
    "only another key, revoked": (f"@revoked board {text(SECOND)}", Verdict.UNKNOWN),
    "a certificate authority": (f"@cert-authority board {text(FIRST)}", Verdict.UNKNOWN),
    "an unknown marker": (f"@new board {text(FIRST)}", Verdict.UNKNOWN),
    "a line that is cut off": (f"board ssh-ed25519\nboard {text(FIRST)}", Verdict.KNOWN),
    "a damaged key": ("board ssh-ed25519 !!!", Verdict.UNKNOWN),
    "a damaged hash": (f"|1|x|y {text(FIRST)}\n|1|=| {text(FIRST)}", Verdict.UNKNOWN),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_gives_a_verdict(case: str, tmp_path: Path) -> None:
    content, verdict = CASES[case]
    (tmp_path / "known").write_text(content)
    lines = known_hosts.lines_for("board", [tmp_path / "none", tmp_path / "known"])
    assert known_hosts.judge(lines, FIRST) is verdict


def test_a_key_is_added_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "known_hosts"
    known_hosts.add(path, "board", FIRST)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().rstrip("\n"))
    path.chmod(0o644)
    known_hosts.add(path, "[board]:2222", SECOND)
    assert path.read_text() == f"board {text(FIRST)}\n[board]:2222 {text(SECOND)}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["known_hosts"]


def test_a_name_is_hashed_where_the_others_are(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"|1|eA==|eQ== {text(SECOND)}\n")
    known_hosts.add(path, "board", FIRST)
    assert "board" not in path.read_text()
    assert known_hosts.judge(known_hosts.lines_for("board", [path]), FIRST) is Verdict.KNOWN
    assert known_hosts.judge(known_hosts.lines_for("other", [path]), FIRST) is Verdict.UNKNOWN


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to("real")
    known_hosts.add(tmp_path / "link", "board", FIRST)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == f"board {text(FIRST)}\n"


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        known_hosts.add(tmp_path / "file" / "known_hosts", "board", FIRST)
    assert caught.value.message.startswith(f"cannot write {tmp_path}/file/known_hosts: ")
