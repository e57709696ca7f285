"""The set-up scripts say exactly what is missing. They are run with a PATH on which little can be found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO_PROGRAMS = dict.fromkeys(("qemu-system-arm", "arm-none-eabi-gcc", "gcc", "make"), "#!/bin/sh\n")


def run_with_only(programs: dict[str, str], folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a script of tools/ with a PATH that holds `programs` (name to content, or to the path of the real one)."""
    folder.mkdir()
    for name, content in programs.items():
        path = folder / name
        if content.startswith("#!"):
            path.write_text(content)
            path.chmod(0o755)
        else:
            path.symlink_to(content)
    for name in ("sh", "dirname", "env", "id"):
        (folder / name).symlink_to(str(shutil.which(name)))
    words = [str(shutil.which("sh")), str(ROOT / "tools" / command[0]), *command[1:]]
    return subprocess.run(words, env={"PATH": str(folder)}, capture_output=True, text=True, timeout=60, check=False)


def test_missing_packages_are_named_in_one_command_when_apt_cannot_be_used(tmp_path: Path) -> None:
    done = run_with_only(
        {"qemu-system-arm": "#!/bin/sh\n"}, tmp_path / "bin", "system_packages.sh", "demo", sys.executable
    )
    assert done.returncode == 1
    assert done.stderr == (
        "These Debian packages are missing. Install them, then run the same command again:\n"
        "    sudo apt-get install --no-install-recommends"
        " gcc-arm-none-eabi libnewlib-arm-none-eabi gcc libc6-dev make\n"
    )


def test_a_missing_ensurepip_is_named_with_the_package_of_that_python(tmp_path: Path) -> None:
    python = "#!/bin/sh\ncase $2 in *ensurepip*) exit 1 ;; *) echo python3.12-venv ;; esac\n"
    done = run_with_only(
        {**DEMO_PROGRAMS, "python3": python}, tmp_path / "bin", "system_packages.sh", "demo", "python3"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "    sudo apt-get install --no-install-recommends python3.12-venv"


def test_nothing_is_asked_for_when_nothing_is_missing(tmp_path: Path) -> None:
    done = run_with_only(DEMO_PROGRAMS, tmp_path / "bin", "system_packages.sh", "demo", sys.executable)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_that_is_too_old_is_refused_with_its_version(tmp_path: Path) -> None:
    old = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n'
    done = run_with_only({"python3": old}, tmp_path / "bin", "install.sh", "demo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "edgecompress needs Python 3.11 or newer; python3 here: Python 3.9.2."


def test_a_missing_python_is_refused(tmp_path: Path) -> None:
    done = run_with_only({}, tmp_path / "bin", "install.sh", "demo")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "edgecompress needs Python 3.11 or newer; python3 here: missing.",
        "On Debian 12, Ubuntu 24.04 or newer: sudo apt-get install python3 python3-venv",
    ]
