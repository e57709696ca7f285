"""Boards that exist only as the files under their /proc and /sys and the programs that they have.

The files' texts are those of real boards (Raspberry Pi OS, Debian), cut to what the project reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgecompress.core.board import Answer
from edgecompress.core.errors import UnreachableError

Text = str | Callable[[], str | None]

A53_FEATURES = "fp asimd evtstrm crc32 cpuid"
A76_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
A7_FEATURES = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
ARM1176_FEATURES = "half thumb fastmult vfp edsp java tls"
PC_FLAGS = "fpu sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c avx2 avx_vnni"


@dataclass(kw_only=True)
class FakeBoard:
    """Files by path, and what each program prints by its words. A value that is a function is asked anew each time.

    A file that is None may not be read; a program that is None fails.
    """

    files: dict[str, Text] = field(default_factory=dict)
    programs: dict[tuple[str, ...], Text | None] = field(default_factory=dict)
    lost: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def read(self, path: str) -> bytes | None:
        self._answer_if_there()
        told = _now(self.files.get(path))
        return None if told is None else told.encode()

    def names(self, folder: str) -> tuple[str, ...]:
        self._answer_if_there()
        inside = (path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/"))
        return tuple(sorted({path.split("/")[0] for path in inside}))

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        self._answer_if_there()
        self.asked.append(tuple(words))
        if not any(known[0] == words[0] for known in self.programs):
            return None
        told = _now(self.programs.get(tuple(words)))
        return Answer(exit_code=1, stdout=b"") if told is None else Answer(exit_code=0, stdout=told.encode())

    def without(self, *prefixes: str) -> FakeBoard:
        """The same board without the files that begin so, and without the programs of that name."""
        files = {path: text for path, text in self.files.items() if not path.startswith(prefixes)}
        programs = {words: text for words, text in self.programs.items() if words[0] not in prefixes}
        return FakeBoard(files=files, programs=programs)

    def _answer_if_there(self) -> None:
        if self.lost:
            raise UnreachableError("the connection was lost")


def pi5() -> FakeBoard:
    return _pi("Raspberry Pi 5 Model B Rev 1.0", "0xd0b", A76_FEATURES, lowest=1_500_000, highest=2_400_000)


def pi4() -> FakeBoard:
    return _pi("Raspberry Pi 4 Model B Rev 1.4", "0xd08", A53_FEATURES, lowest=600_000, highest=1_800_000)


def pi3() -> FakeBoard:
    return _pi("Raspberry Pi 3 Model B Plus Rev 1.3", "0xd03", A53_FEATURES, lowest=600_000, highest=1_400_000)


def pi_zero2() -> FakeBoard:
    return _pi("Raspberry Pi Zero 2 W Rev 1.0", "0xd03", A53_FEATURES, lowest=600_000, highest=1_000_000)


def pi2() -> FakeBoard:
    board = _pi("Raspberry Pi 2 Model B Rev 1.1", "0xc07", A7_FEATURES, lowest=600_000, highest=900_000)
    return _with_32_bits(board, "armv7l")


def pi_zero() -> FakeBoard:
    board = _pi("Raspberry Pi Zero W Rev 1.1", "0xb76", ARM1176_FEATURES, lowest=700_000, highest=1_000_000, cores=1)
    return _with_32_bits(board, "armv6l")


def pi4_with_32_bit_programs() -> FakeBoard:
    """Raspberry Pi OS (32-bit) on a Pi 4: a 64-bit kernel since 2023."""
    board = pi4()
    board.programs["getconf", "LONG_BIT"] = "32\n"
    return board


def pc() -> FakeBoard:
    cpu = "\n".join(
        f"processor\t: {core}\nvendor_id\t: GenuineIntel\nmodel name\t: 13th Gen Intel(R) Core(TM) i5-1345U\n"
        f"flags\t\t: {PC_FLAGS}\n"
        for core in range(2)
    )
    files: dict[str, Text] = {
        "/proc/cpuinfo": cpu,
        "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
        "/sys/devices/system/cpu/online": "0-1\n",
        **_thermal("0", "acpitz", 27_800),
        **_thermal("1", "x86_pkg_temp", 48_000),
        "/sys/class/thermal/thermal_zone1/trip_point_0_temp": "100000\n",
        "/sys/class/thermal/thermal_zone1/trip_point_0_type": "passive\n",
        **_policy(0, "intel_pstate", "performance", 400_000, 2_500_000),
        **_policy(1, "intel_pstate", "performance", 400_000, 2_500_000),
        **_idle_system(16_000_000),
    }
    return FakeBoard(files=files, programs=_programs("x86_64"))


def _pi(model: str, part: str, features: str, *, lowest: int, highest: int, cores: int = 4) -> FakeBoard:
    cpu = "\n".join(
        f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n"
        for core in range(cores)
    )
    files: dict[str, Text] = {
        "/proc/cpuinfo": f"{cpu}\nRevision\t: c03114\nModel\t\t: {model}\n",
        "/proc/device-tree/model": f"{model}\0",
        "/proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-v8\n",
        "/sys/devices/system/cpu/online": "0\n" if cores == 1 else f"0-{cores - 1}\n",
        **_thermal("0", "cpu-thermal", 48_312),
        "/sys/class/thermal/thermal_zone0/trip_point_0_temp": "110000\n",
        "/sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
        **_policy(0, "cpufreq-dt", "performance", lowest, highest),
        **_idle_system(3_884_000),
    }
    programs = _programs("aarch64")
    programs["vcgencmd", "get_throttled"] = "throttled=0x0\n"
    return FakeBoard(files=files, programs=programs)


def changed(board: FakeBoard, path: str, text: str) -> FakeBoard:
    """The same board with one more, or another, file."""
    return FakeBoard(files={**board.files, path: text}, programs=dict(board.programs))


def telling(board: FakeBoard, words: str, text: Text | None) -> FakeBoard:
    """The same board with a program that prints something else, or fails."""
    return FakeBoard(files=dict(board.files), programs={**board.programs, tuple(words.split()): text})


def _with_32_bits(board: FakeBoard, machine: str) -> FakeBoard:
    board.programs["uname", "-m"] = f"{machine}\n"
    board.programs["getconf", "LONG_BIT"] = "32\n"
    return board


def _thermal(zone: str, kind: str, millidegrees: int) -> dict[str, Text]:
    folder = f"/sys/class/thermal/thermal_zone{zone}"
    return {f"{folder}/type": f"{kind}\n", f"{folder}/temp": f"{millidegrees}\n"}


def _policy(number: int, driver: str, governor: str, lowest: int, highest: int) -> dict[str, Text]:
    folder = f"/sys/devices/system/cpu/cpufreq/policy{number}"
    return {
        f"{folder}/scaling_governor": f"{governor}\n",
        f"{folder}/scaling_driver": f"{driver}\n",
        f"{folder}/scaling_cur_freq": f"{highest}\n",
        f"{folder}/scaling_min_freq": f"{lowest}\n",
        f"{folder}/scaling_max_freq": f"{highest}\n",
        f"{folder}/cpuinfo_max_freq": f"{highest}\n",
    }


def _idle_system(total_kib: int) -> dict[str, Text]:
    return {
        "/proc/meminfo": f"MemTotal:       {total_kib} kB\nMemFree:        {total_kib // 2} kB\n"
        f"MemAvailable:   {total_kib * 3 // 4} kB\nSwapTotal:       102396 kB\nSwapFree:        102396 kB\n",
        "/proc/loadavg": "0.08 0.03 0.01 1/180 1234\n",
        "/proc/stat": "cpu  1000 0 500 90000 100 0 10 0 0 0\ncpu0 1000 0 500 90000 100 0 10 0 0 0\nctxt 1\n",
        "/proc/vmstat": "pgpgin 1000\npswpin 10\npswpout 20\n",
    }


def _programs(machine: str) -> dict[tuple[str, ...], Text]:
    return {
        ("uname", "-m"): f"{machine}\n",
        ("getconf", "LONG_BIT"): "64\n",
        ("getconf", "GNU_LIBC_VERSION"): "glibc 2.36\n",
        ("df", "-P", "-k", "/home/pi"): "Filesystem     1024-blocks    Used Available Capacity Mounted on\n"
        "/dev/root         29558044 4508552  23779676      16% /\n",
    }


def _now(value: Text | None) -> str | None:
    return value() if callable(value) else value
