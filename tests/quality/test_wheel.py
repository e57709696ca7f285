"""A wheel is complete: what the package reads at run time lies inside it."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
SHOW_TARGETS = "from edgecompress.core import target; print(target.folder()); print(*target.names())"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=240, capture_output=True)
    return next(folder.glob("edgecompress-*.whl"))


def test_the_wheel_holds_the_files_that_git_does_not_ignore_and_no_others(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        *_not_ignored("edgecompress"),
        *(f"edgecompress/{path}" for path in _not_ignored("device_runtime", "targets")),
    }
    assert inside == expected


def test_an_installed_wheel_finds_its_targets_inside_itself(wheel: Path, tmp_path: Path) -> None:
    # The dependencies (700 MB) are taken from this environment; the package itself only from the wheel.
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    command = [*PIP, "install", "--no-deps", "--target", str(packages), str(wheel)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    (packages / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))

    shown = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-P", "-c", SHOW_TARGETS],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.splitlines()

    assert Path(shown[0]) == packages / "edgecompress" / "targets"
    assert shown[1].split() == sorted(path.stem for path in (ROOT / "targets").glob("*.toml"))


def _not_ignored(*folders: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.split()
