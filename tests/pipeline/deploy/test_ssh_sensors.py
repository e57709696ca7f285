"""A board's sensors read over SSH while its program runs: files by SFTP, vcgencmd by exec, beside the program's stream.

The server, the program and the files are real; the files lie in a folder instead of /sys, and vcgencmd is a script.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.board import Answer, Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import UnreachableError
from edgecompress.core.values import Evidence, Measurements, Model
from edgecompress.deploy.ssh import SshLink
from edgecompress.measure import latency, power
from edgecompress.measure.meters._meter import Meter
from edgecompress.measure.power import Plan

QUICK = Plan(idle_s=0.6, settle_s=0.1, load_s=1.2, least_readings=8)
VCGENCMD = r"""#!/bin/sh
case "$1" in
pmic_read_adc) printf 'VDD_CORE_A current(7)=2.00000000A\nVDD_CORE_V volt(15)=0.80000000V\n' ;;
get_throttled) cat "$(dirname "$0")/throttled" ;;
*) exit 1 ;;
esac
"""


class Elsewhere:
    """A board whose /sys, device tree and vcgencmd lie in a folder of it."""

    def __init__(self, inner: Board, root: Path) -> None:
        self._inner = inner
        self._root = root

    def read(self, path: str) -> bytes | None:
        return self._inner.read(self._moved(path))

    def names(self, folder: str) -> tuple[str, ...]:
        return self._inner.names(self._moved(folder))

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        first = str(self._root / "vcgencmd") if words[0] == "vcgencmd" else words[0]
        return self._inner.run((first, *words[1:]), timeout_s=timeout_s)

    def _moved(self, path: str) -> str:
        return f"{self._root}{path}" if path.startswith(("/sys/", "/proc/device-tree")) else path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    write(root / "sys/class/hwmon/hwmon4/name", "ina219\n")
    write(root / "sys/class/hwmon/hwmon4/power1_input", "3280000\n")
    write(root / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    write(root / "throttled", "throttled=0x0\n")
    write(root / "vcgencmd", VCGENCMD)
    (root / "vcgencmd").chmod(stat.S_IRWXU)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def reached(ssh_server: SshServer, root: Path, toy_bundle: Callable[..., Bundle]) -> Callable[..., Any]:
    """Deploy the toy network to this machine over SSH, with sensors as in `root`."""

    @contextmanager
    def reach(*meters: str) -> Iterator[tuple[Device, Bundle]]:
        bundle = toy_bundle("host")
        target = targets.load("host").model_copy(update={"meters": meters})
        link = SshLink(target, ssh_server.endpoint(), view=lambda inner: Elsewhere(inner, root))
        with Device(link, target) as device:
            device.install(bundle)
            yield device, bundle

    return reach


@pytest.mark.parametrize(
    ("name", "instrument", "watts"),
    [
        ("hwmon", "INA219 (hwmon4), power1_input", 3.28),
        (
            "rpi5_pmic",
            "power chip of the Raspberry Pi 5 (vcgencmd pmic_read_adc), volts times amperes of every rail",
            1.6,
        ),
    ],
)
def test_a_meter_is_read_while_the_program_runs(
    reached: Callable[..., Any], name: str, instrument: str, watts: float
) -> None:
    with reached(name) as (device, bundle):
        meter = power.choose(device)
        assert isinstance(meter, Meter)
        watched = power.watch(device, meter, sample(bundle), QUICK)
        after = device.run(sample(bundle)).outputs

    assert meter.instrument == instrument
    assert watched.load.mean_watts == pytest.approx(watts)
    assert len(watched.load.readings) >= 12
    assert watched.inferences > 100
    assert np.array_equal(after["sums"], bundle.vectors()[1]["sums"][0])


def test_a_board_that_throttles_meanwhile_is_noticed_over_ssh(reached: Callable[..., Any], root: Path) -> None:
    def throttle(what: str, done: int, total: int) -> None:
        (root / "throttled").write_text("throttled=0x20002\n")

    with reached() as (device, bundle):
        found = latency.read(device, bundle, evidence(throttle))

    timed = named(found, "latency_us")
    assert timed.value
    assert str(timed.void).startswith(
        "Arm clock capped now (get_throttled); Arm clock capped during the run (get_throttled)"
    )


def test_a_lost_server_is_an_error_and_no_hanging_meter(reached: Callable[..., Any], ssh_server: SshServer) -> None:
    with reached("hwmon") as (device, bundle):
        meter = power.choose(device)
        assert isinstance(meter, Meter)
        readings = 0

        def read() -> float | None:
            nonlocal readings
            readings += 1
            if readings == 20:
                ssh_server.kill()
            return meter.read()

        with pytest.raises(UnreachableError):
            power.watch(device, replace(meter, read=read), sample(bundle), QUICK)


def sample(bundle: Bundle) -> dict[str, Any]:
    return {name: values[0] for name, values in bundle.vectors()[0].items()}


def evidence(progress: Any) -> Evidence:
    none: Model = None  # type: ignore[assignment]
    return Evidence(model=none, baseline=none, progress=progress)


def named(found: Measurements, metric: str) -> Any:
    return next(m for m in found.metrics if m.metric == metric)
