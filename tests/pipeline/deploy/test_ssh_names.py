"""Names that a shell would read as something else: folders and models are called exactly that, and nothing is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ssh_server import SshServer

from edgecompress.core.bundle import Bundle
from edgecompress.core.session import Session
from edgecompress.core.values import no_progress
from edgecompress.deploy._ssh_endpoint import parse_address
from edgecompress.deploy._ssh_models import ModelFolder, Program, folder_name
from edgecompress.deploy._ssh_site import Site
from edgecompress.deploy._ssh_stream import ProgramStream

HOSTILE = [
    *(b"a b", b" a", b"a ", b"  ", b"\t", b"a\nb", b"\n", b"a\n", b"\r\n", b"a\rb"),
    *(b"'", b'"', b"''", b"a'b", b'a"b', b"'; touch CANARY; '", b'"; touch CANARY; "', b"\\", b"a\\", b"\\'"),
    *(b"$(touch CANARY)", b"`touch CANARY`", b"$HOME", b"${IFS}", b"$0", b"$$", b"!", b"!!", b"!-1", b"a!b"),
    *(b";touch CANARY", b"|touch CANARY", b"&", b"&&touch CANARY", b"> CANARY", b"< x", b"(touch CANARY)", b"{a,b}"),
    *(b"*", b"?", b"[a-z]", b"~", b"~root", b"#", b"-", b"-rf", b"--help", b"...", b"%s%n", b"\\0101"),
    *("ü/é".encode(), b"\xff\xfe", b"\x01\x1b[31m", b"\xc3", b"a\x7fb", b"=", b"x=y", b"n" * 255),
]


def test_there_are_fifty_names() -> None:
    assert len(set(HOSTILE)) >= 50


def test_a_hostile_folder_is_called_exactly_that_and_its_program_runs(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = two_builds[0]
    program = Program.of(bundle.program, bundle.manifest.build_id)
    first = Site.open(ssh_server.endpoint())
    try:
        for name in HOSTILE:
            folder = os.fsencode(ssh_server.board) + b"/" + name
            site = Site(
                connection=first.connection, files=first.files, shell=first.shell, board=first.board, folder=folder
            )
            place_and_greet(site, b"toy", program)
            assert Path(os.fsdecode(folder + b"/toy/current")).is_symlink(), name
    finally:
        first.close()
    made = {os.fsencode(path.name) for path in ssh_server.board.iterdir()}
    assert made == {name.split(b"/")[0] for name in HOSTILE}
    for place in (ssh_server.home, Path.home(), Path.cwd()):
        assert not (place / "CANARY").exists()


def place_and_greet(site: Site, model: bytes, program: Program) -> None:
    folder = ModelFolder(site, model)
    folder.make()
    stream = ProgramStream(site.connection, (folder.place(program, no_progress),))
    try:
        assert bytes.fromhex(program.build_id) in Session(stream, "the board").greet()
    finally:
        stream.close()
    folder.accept(program)
    assert [version.is_current for version in folder.versions()] == [True]


def test_a_hostile_model_gets_one_plain_folder(ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]) -> None:
    program = Program.of(two_builds[0].program, two_builds[0].manifest.build_id)
    site = Site.open(ssh_server.endpoint())
    models = ["../../up", "/etc", ".", "..", "", "a/b", "\ud800", "\n", "ü" * 300, "$(x)"]
    try:
        for model in models:
            place_and_greet(site, folder_name(model), program)
    finally:
        site.close()
    there = [path.name for path in ssh_server.board.iterdir()]
    assert len(there) == len(models)
    assert all(name.isascii() and len(name) <= 100 and not name.startswith(".") for name in there)


def test_any_bytes_can_be_written_in_an_address() -> None:
    assert os.fsencode(parse_address("pi/~/a%0Ab%FF c").folder) == b"a\nb\xff c"
