"""Two deployers at once, locks that were left, programs that say too much or hang, and a board that is watched."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from deploy_child import endpoint_as_json
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import EdgecompressError, UnreachableError, UsageError
from edgecompress.core.values import Progress, no_progress
from edgecompress.deploy._ssh_devices import RemoteBoard
from edgecompress.deploy._ssh_lock import Holder
from edgecompress.deploy.ssh import SshLink

ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"
FLOOD_BYTES = 64 << 20
MEMORY_LIMIT_KIB = 48 << 10
SAMPLE = {"signal": np.zeros(16, np.int8)}


def device_on(server: SshServer) -> Device:
    target = targets.load("host")
    return Device(SshLink(target, server.endpoint()), target)


def deploy(server: SshServer, bundle: Bundle, progress: Progress = no_progress) -> None:
    with device_on(server) as device:
        device.install(bundle, progress)


def current(server: SshServer) -> str:
    return (server.board / "toy" / "current").readlink().name[:32]


def with_script(bundle: Bundle, script: str) -> Bundle:
    """The bundle with a shell script in front of its program."""
    program = bundle.folder / "program"
    whole = bundle.folder / "whole"
    program.rename(whole)
    program.write_text(f"#!/bin/sh\n{script.replace('PROGRAM', str(whole))}\n")
    return bundle


def test_a_second_deployer_is_told_who_the_first_one_is(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    first, second = two_builds
    refusals: list[EdgecompressError] = []

    def barge_in(what: str, done: int, total: int) -> None:
        if (what, done) == ("upload", total):
            with pytest.raises(UnreachableError) as caught:
                deploy(ssh_server, second)
            refusals.append(caught.value)

    deploy(ssh_server, first, barge_in)
    (refusal,) = refusals
    holder = Holder.this_process()
    assert refusal.message.startswith(f"another deployment is under way: process {os.getpid()} of {holder.user} on ")
    assert refusal.message.endswith(f" holds {ssh_server.board}/toy/lock")
    assert str(refusal.hint).endswith(f"edgecompress devices unlock {ssh_server.endpoint().url}")
    assert refusal.exit_code == 7
    assert current(ssh_server) == first.manifest.build_id
    deploy(ssh_server, second)
    assert current(ssh_server) == second.manifest.build_id


def test_deployers_that_race_leave_one_whole_version(ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]) -> None:
    words = [
        [sys.executable, SUPPORT / "deploy_child.py", endpoint_as_json(ssh_server.endpoint()), bundle.folder]
        for bundle in two_builds
    ]
    racers = [
        subprocess.Popen(
            each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True
        )
        for each in words
    ]
    rounds = 4
    ends = [racer.communicate("\n" * rounds, timeout=120)[0].split()[1::2] for racer in racers]
    assert {code for codes in ends for code in codes} <= {"0", "7"}
    assert all(len(codes) == rounds and "0" in codes for codes in ends)
    assert current(ssh_server) in {bundle.manifest.build_id for bundle in two_builds}
    left = {path.name for path in (ssh_server.board / "toy").iterdir()}
    assert left == {"versions", "staged", "current"}
    assert list((ssh_server.board / "toy" / "staged").iterdir()) == []


def test_the_lock_of_another_machine_stays_until_somebody_removes_it(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deploy(ssh_server, two_builds[0])
    lock = ssh_server.board / "toy" / "lock"
    lock.symlink_to("ann|far away|boot-1|4242|7|2026-01-02T03:04:05+00:00|0123456789abcdef")
    with pytest.raises(UnreachableError) as caught:
        deploy(ssh_server, two_builds[1])
    assert caught.value.message == (
        "another deployment is under way: process 4242 of ann on far away, since 2026-01-02T03:04:05+00:00, "
        f"holds {lock}"
    )
    board = remote_board(ssh_server, monkeypatch, tmp_path)
    assert board.remove_locks(None) == {"toy": "process 4242 of ann on far away, since 2026-01-02T03:04:05+00:00,"}
    deploy(ssh_server, two_builds[1])


def remote_board(server: SshServer, monkeypatch: pytest.MonkeyPatch, home: Path) -> RemoteBoard:
    """The server as the commands reach it: by ~/.ssh/config."""
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {server.port}\n IdentityFile {server.folder}/id\n"
        f" UserKnownHostsFile {server.folder}/known_hosts\n"
    )
    monkeypatch.setenv("HOME", str(home))
    return RemoteBoard(f"ssh://board{server.board}")


def test_a_deployer_whose_lock_was_taken_away_does_not_go_into_use(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)

    def unlock(what: str, done: int, total: int) -> None:
        if (what, done) == ("verify", total):
            (ssh_server.board / "toy" / "lock").unlink()

    with pytest.raises(UnreachableError) as caught:
        deploy(ssh_server, new, unlock)
    assert caught.value.message == f"the lock {ssh_server.board}/toy/lock was taken away meanwhile"
    assert current(ssh_server) == old.manifest.build_id


def test_rollback_goes_to_the_version_before_and_old_ones_are_dropped(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, new = two_builds
    board = remote_board(ssh_server, monkeypatch, tmp_path)
    deploy(ssh_server, old)
    with pytest.raises(UsageError, match="has no version before the current one"):
        board.roll_back(None)
    deploy(ssh_server, new)
    done = board.roll_back("toy")
    assert (done.current.build_id, done.replaced.build_id) == (old.manifest.build_id, new.manifest.build_id)
    assert current(ssh_server) == old.manifest.build_id
    for byte in range(3):
        with old.program.open("ab") as program:
            program.write(bytes([byte]))
        deploy(ssh_server, old)
    kept = board.versions()["toy"]
    assert [version.is_current for version in kept] == [True, False, False]


def test_64_mib_of_output_instead_of_an_answer_end_in_an_error_and_take_no_memory(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreachableError) as caught:
        deploy(ssh_server, with_script(new, f"yes | head -c {FLOOD_BYTES}"))
    assert caught.value.message == f"the program on {ssh_server.endpoint().shown} ended with exit code 0"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_LIMIT_KIB
    assert current(ssh_server) == old.manifest.build_id
    assert list((ssh_server.board / "toy" / "staged").iterdir()) == []


def test_64_mib_on_stderr_stop_nothing_and_the_last_words_are_kept(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    noisy = with_script(two_builds[0], f"yes | head -c {FLOOD_BYTES} >&2; exec PROGRAM")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deploy(ssh_server, noisy)
    assert current(ssh_server) == noisy.manifest.build_id
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_LIMIT_KIB
    dying = with_script(two_builds[1], f"yes | head -c {FLOOD_BYTES} >&2; echo the disk is on fire >&2; exit 3")
    with pytest.raises(UnreachableError) as caught:
        deploy(ssh_server, dying)
    assert caught.value.message == f"the program on {ssh_server.endpoint().shown} ended with exit code 3"
    assert str(caught.value.hint).endswith("\nthe disk is on fire")


def test_a_program_that_hangs_is_ended_with_the_connection(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = ssh_server.folder / "hangs"
    hanging = with_script(two_builds[0], f"echo $$ > {marker}; exec sleep 300")
    device = device_on(ssh_server)
    watch = threading.Thread(target=lambda: (wait_for(marker), device.close()))
    watch.start()
    with pytest.raises(EdgecompressError):
        device.install(hanging)
    watch.join()
    pid = int(marker.read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def wait_for(path: Path) -> None:
    while not path.exists() or not path.read_text().strip():
        time.sleep(0.01)


def test_the_board_is_read_from_a_second_thread_while_the_program_runs(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    samples: list[bytes | None] = []
    with device_on(ssh_server) as device:
        device.install(two_builds[0])
        board = device.board
        assert board is not None
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                samples.append(board.read("/proc/uptime"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        deadline = time.monotonic() + 30
        while len(samples) < 10 and time.monotonic() < deadline:
            device.run(SAMPLE, repeat=10)
        done.set()
        watcher.join()
        assert board.run(["printf", "%s|", "$(id)", "", "a b"], timeout_s=5).stdout == b"$(id)||a b|"
        assert board.run(["no-such-program"], timeout_s=5) is None
        assert board.run(["sh", "-c", "exit 3"], timeout_s=5).exit_code == 3
        with pytest.raises(UnreachableError, match=r"sleep on .* did not end within 0\.2 s"):
            board.run(["sleep", "20"], timeout_s=0.2)
        assert board.run(["echo", "again"], timeout_s=5).stdout == b"again\n"
        assert "self" in board.names("/proc")
        assert (board.read("/no/such"), board.names("/no/such")) == (None, ())
        (ssh_server.folder / "big").write_bytes(bytes(3_000_000))
        with pytest.raises(UnreachableError, match=r"cat on .* printed more than 1,048,576 bytes"):
            board.run(["cat", str(ssh_server.folder / "big")], timeout_s=5)
    assert len(samples) >= 10
    assert all(samples)
