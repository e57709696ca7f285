"""core/tools: outside programs that are missing, fail, hang or are killed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from edgecompress.core import tools
from edgecompress.core.errors import MissingToolError, ToolFailedError

SHELL = "/bin/sh"


def test_stdin_goes_in_and_stdout_comes_out() -> None:
    assert tools.run(["cat"], timeout_s=10, stdin=b"a\0b") == b"a\0b"


def test_words_are_never_read_by_a_shell(tmp_path: Path) -> None:
    strange = "$(touch pwned); `id` 'quoted' *"

    assert tools.run(["echo", strange], timeout_s=10, folder=tmp_path) == strange.encode() + b"\n"
    assert list(tmp_path.iterdir()) == []


def test_it_runs_in_the_folder(tmp_path: Path) -> None:
    assert tools.run(["pwd"], timeout_s=10, folder=tmp_path) == f"{tmp_path}\n".encode()


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("arm-none-eabi-objcopy", "binutils-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
        ("cc", "gcc libc6-dev"),
    ],
)
def test_a_missing_program_comes_with_its_debian_package(
    monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(MissingToolError) as caught:
        tools.run([program], timeout_s=10)

    assert caught.value.message == f"{program} is not installed or not on PATH"
    assert caught.value.hint == f"on Debian or Ubuntu: sudo apt-get install {package}"
    assert caught.value.exit_code == 13


def test_a_missing_program_of_our_own_is_not_looked_for_in_packages(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        tools.run([tmp_path / "reference"], timeout_s=10)

    assert caught.value.message == f"{tmp_path}/reference is not there, or is not a program"
    assert caught.value.hint == "build it again"


def test_a_failure_shows_the_exit_code_the_last_lines_and_the_command() -> None:
    with pytest.raises(ToolFailedError) as caught:
        tools.run([SHELL, "-c", "seq 20 >&2; exit 3"], timeout_s=10)

    last = "\n".join(str(number) for number in range(9, 21))
    assert caught.value.message == f"/bin/sh failed with exit code 3:\n{last}"
    assert caught.value.hint == "the command was: /bin/sh -c seq 20 >&2; exit 3"


def test_stdout_is_shown_when_stderr_is_empty() -> None:
    with pytest.raises(ToolFailedError) as caught:
        tools.run([SHELL, "-c", "echo why; exit 1"], timeout_s=10)

    assert caught.value.message == "/bin/sh failed with exit code 1:\nwhy"


def test_a_killed_program_is_named_with_its_signal() -> None:
    with pytest.raises(ToolFailedError) as caught:
        tools.run([SHELL, "-c", "kill -9 $$"], timeout_s=10)

    assert caught.value.message == "/bin/sh was ended by SIGKILL:"


def test_the_time_limit_ends_a_program_and_what_it_started(tmp_path: Path) -> None:
    started = time.monotonic()

    with pytest.raises(ToolFailedError) as caught:
        tools.run([SHELL, "-c", f"sleep 60 & echo $! > {tmp_path}/child; wait"], timeout_s=0.3)

    assert caught.value.message == "/bin/sh did not end within 0.3 s"
    assert time.monotonic() - started < 5
    assert not is_running(int((tmp_path / "child").read_text()))


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet reaped does not."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


def test_a_program_for_another_machine_cannot_be_started(tmp_path: Path) -> None:
    program = tmp_path / "reference"
    program.write_bytes(b"\x7fELF" + bytes(60))
    program.chmod(0o755)

    with pytest.raises(ToolFailedError) as caught:
        tools.run([program], timeout_s=10)

    assert caught.value.message == f"{program} cannot be started: Exec format error"


def test_much_output_on_both_streams_does_not_block() -> None:
    script = "import sys; sys.stderr.write('e' * 1_000_000); sys.stdout.write('o' * 1_000_000)"

    assert len(tools.run([sys.executable, "-c", script], timeout_s=30)) == 1_000_000


def test_the_version_is_the_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in (("talks", "echo 'talks 1.2 '; echo more"), ("silent", "true")):
        (tmp_path / name).write_text(f"#!{SHELL}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert tools.version("talks") == "talks 1.2"
    assert tools.version("silent") == "unknown version"
