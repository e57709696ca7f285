"""One report of an invented network on an emulated board: every kind of figure once, a missing one among them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edgecompress.core.bundle import Arena, Layer, Manifest, ModeBounds, Placement, Sizes, Vectors
from edgecompress.core.recipe import Limits
from edgecompress.core.report import Baseline, Environment, Report, assemble, candidate
from edgecompress.core.target import Emulator, Memory, Region, Target, Toolchain
from edgecompress.core.values import (
    AppliedStep,
    BoardState,
    ClockState,
    Conditions,
    LayerMeasurement,
    Measurement,
    Measurements,
    TensorSpec,
)

LAYERS = (
    ("quantize", "quantize", 0, 0, (1, 40, 32)),
    ("conv_1|depthwise", "conv2d", 115_200, 1_152, (1, 38, 32)),
    ("conv_2", "conv2d", 972_800, 25_600, (1, 38, 64)),
    ("pool", "max_pool2d", 0, 0, (1, 19, 64)),
    ("dense", "dense", 3_648, 3_660, (1, 3)),
    ("<softmax>", "softmax", 0, 0, (1, 3)),
)
THROTTLED = "soft temperature limit now (get_throttled)"
INSTRUCTIONS = (12_400.0, 610_080.0, 4_120_040.0, 96_000.0, 19_240.0, 3_120.0)


@pytest.fixture
def target() -> Target:
    return Target(
        name="board",
        description="A board that only tests know, emulated",
        system="bare",
        cpu="cortex-m4",
        features=("dsp", "fpu"),
        clock_hz=25_000_000,
        port="board",
        link="qemu",
        memory=Memory(flash=Region(origin=0, length=262_144), ram=Region(origin=0x2000_0000, length=65_536)),
        toolchain=Toolchain(prefix="arm-none-eabi-"),
        emulator=Emulator(program="qemu-system-arm", machine="board", instructions_per_tick=40),
    )


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        name="wakeword",
        build_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        target="board",
        port="board",
        inputs=(TensorSpec(name="spectrogram", shape=(1, 40, 32), dtype="float32"),),
        outputs=(TensorSpec(name="scores", shape=(1, 3), dtype="float32"),),
        steps=(AppliedStep(method="static_int8", options={"ranges": "minmax", "per_channel": True}),),
        model_sha256="ab" * 32,
        layers=tuple(_layer(index, *layer) for index, layer in enumerate(LAYERS)),
        arena=_arena(),
        modes=(
            ModeBounds(optimize="size", weights_bytes=26_316, code_bytes=12_800, arena_bytes=8_448),
            ModeBounds(optimize="balanced", weights_bytes=30_412, code_bytes=12_400, arena_bytes=6_400),
        ),
        sizes=Sizes(
            flash_bytes=38_200,
            static_ram_bytes=6_400,
            firmware_flash_bytes=46_900,
            firmware_static_ram_bytes=8_700,
            weights_bytes=30_412,
            code_bytes=7_200,
            sections={".text": 46_200, ".data": 700, ".bss": 8_000},
        ),
        vectors=Vectors(count=8, origin="data"),
        program="firmware.elf",
        files={},
        tools={"arm-none-eabi-gcc": "arm-none-eabi-gcc 12.2.1"},
    )


@pytest.fixture
def found() -> Measurements:
    return Measurements(metrics=_metrics(), layers=_profile())


@pytest.fixture
def report(target: Target, manifest: Manifest, found: Measurements) -> Report:
    limits = Limits(accuracy_drop=0.05, flash_bytes=32_000, latency_us=1_000)
    made = assemble(
        name="wakeword",
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        target=target,
        device="board under qemu-system-arm",
        emulated=True,
        instructions_per_tick=40,
        baseline=Baseline(name="wakeword", dtype="float32", parameter_bytes=121_648),
        candidates=[candidate(manifest, [found], limits)],
        notes=["Scored on <calibration> samples."],
    )
    fixed = Environment(edgecompress="0.1.0", python="3.11.7", platform="Linux", tools=manifest.tools)
    return made.model_copy(update={"environment": fixed})


@pytest.fixture
def pi_report(target: Target, manifest: Manifest) -> Report:
    """The same network on a real board, timed on one core and on four; the second run was throttled."""
    board = target.model_copy(
        update={
            "name": "rpi4",
            "description": "Raspberry Pi 4",
            "system": "linux",
            "cpu": "cortex-a72",
            "emulator": None,
        }
    )
    cool = _state(at_s=100.0, temperature_c=48.3, throttled_bits=0)
    warm = _state(at_s=102.0, temperature_c=61.2, throttled_bits=0)
    hot = _state(at_s=104.0, temperature_c=82.0, throttled_bits=0xE0008, khz=1_000_000)
    runs = (
        Conditions(run="latency", before=cool, after=warm),
        Conditions(run="latency, 4 threads", before=warm, after=hot, void=THROTTLED),
        Conditions(run="layers", before=hot, after=hot, void=THROTTLED),
    )
    layers = tuple(
        layer.model_copy(update={"instructions": None, "microseconds": cost / 1e4, "void": THROTTLED})
        for layer, cost in zip(_profile(), INSTRUCTIONS, strict=True)
    )
    found = Measurements(metrics=_measured_on_a_board(), layers=layers, conditions=runs)
    made = assemble(
        name="wakeword",
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        target=board,
        device="rpi4 at ssh://pi",
        emulated=False,
        baseline=Baseline(name="wakeword", dtype="float32", parameter_bytes=121_648),
        candidates=[candidate(manifest, [found], Limits(latency_us=1_000))],
    )
    fixed = Environment(edgecompress="0.1.0", python="3.11.7", platform="Linux", tools=manifest.tools)
    return made.model_copy(update={"environment": fixed})


def _state(*, at_s: float, temperature_c: float, throttled_bits: int, khz: int = 1_800_000) -> BoardState:
    clock = ClockState(name="policy0", governor="performance", driver="cpufreq-dt", current_khz=khz, lowest_khz=600_000,
                       highest_khz=1_800_000)  # fmt: skip
    return BoardState(
        at_s=at_s,
        cores=4,
        clocks=(clock,),
        temperature_c=temperature_c,
        temperature_limit_c=80.0,
        throttled_bits=throttled_bits,
        load=0.42,
        ram_bytes=4 * 2**30,
        available_ram_bytes=3 * 2**30,
    )


def _measured_on_a_board() -> tuple[Measurement, ...]:
    one = (*(1_240.0,) * 10, *(812.0 + (7 * i) % 11 for i in range(1_990)), 1_975.0)
    four = tuple(268.0 + (5 * i) % 7 for i in range(200))
    energy = {"threads": "1", "inferences": "5,500 in 5.50 s", "uncertainty": "± 0.012 mJ", "covers": "the 5 V rail"}
    timed = {"how": "measured", "instrument": "clock of rpi4 at ssh://pi"}
    return (
        Measurement(metric="latency_instructions", unit="instructions", value=None, missing="its clock counts time"),
        Measurement(metric="latency_us", unit="us", value=817.0, samples=one, warm_up=10, conditions={"threads": "1",
                    "drift": "+0.1% from first to last quarter"}, percentiles={"min": 812.0, "median": 817.0,
                    "p90": 821.0, "p95": 822.0, "p99": 822.0, "max": 1_975.0}, **timed),
        Measurement(metric="latency_us", unit="us", value=271.0, samples=four, conditions={"threads": "4",
                    "drift": "+0.0% from first to last quarter"}, percentiles={"min": 268.0, "median": 271.0,
                    "p90": 273.0, "p95": 274.0, "p99": 274.0, "max": 274.0}, void=THROTTLED, **timed),
        Measurement(metric="flash_bytes", unit="bytes", value=38_200, samples=(38_200,), instrument="ELF sections"),
        Measurement(metric="resident_bytes", unit="bytes", value=401_408, samples=(401_408,)),
        Measurement(metric="idle_power_w", unit="W", value=2.71, samples=(2.7, 2.72), instrument="INA219 (hwmon2)",
                    conditions={"readings": "40 in 2.00 s", "uncertainty": "± 0.003 W"}),
        Measurement(metric="power_w", unit="W", value=4.02, samples=(4.01, 4.03), instrument="INA219 (hwmon2)",
                    conditions={"readings": "100 in 5.00 s", "uncertainty": "± 0.005 W"}),
        Measurement(metric="energy_mj", unit="mJ", value=3.61, samples=(3.61,), instrument="INA219 (hwmon2)",
                    conditions=energy),
        Measurement(metric="energy_above_idle_mj", unit="mJ", value=1.31, samples=(1.31,),
                    instrument="INA219 (hwmon2)", conditions=energy),
    )  # fmt: skip


def _layer(index: int, name: str, op: str, macs: int, weight_bytes: int, shape: tuple[int, ...]) -> Layer:
    return Layer(
        index=index,
        name=name,
        op=op,
        kernel=f"kernel_{op}",
        onnx_nodes=(name,),
        macs=macs,
        weight_bytes=weight_bytes,
        code_bytes=1_200,
        output_shape=shape,
    )


def _arena() -> Arena:
    return Arena(
        bytes=6_272,
        bound=6_272,
        peak_layer=2,
        placements=(
            Placement(name="spectrogram", offset=0, bytes=1_280, first=0, last=5),
            Placement(name="quantized", offset=1_280, bytes=1_280, first=0, last=1),
            Placement(name="features_1", offset=2_560, bytes=1_216, first=1, last=2),
            Placement(name="features_2", offset=3_776, bytes=2_432, first=2, last=3),
            Placement(name="pooled", offset=1_280, bytes=1_216, first=3, last=4),
            Placement(name="scores", offset=6_208, bytes=12, first=4, last=5),
        ),
    )


def _metrics() -> tuple[Measurement, ...]:
    right = (1.0,) * 9
    return (
        Measurement(metric="latency_instructions", unit="instructions", value=4_860_880, samples=(4_860_880,) * 3,
                    how="emulated", instrument="timer", conditions={"input": "test vector 0"}),
        Measurement(metric="latency_us", unit="us", value=None, how="emulated", missing="an emulator has no time"),
        Measurement(metric="flash_bytes", unit="bytes", value=38_200, samples=(38_200,), instrument="ELF sections"),
        Measurement(metric="ram_bytes", unit="bytes", value=7_912, samples=(7_912,), how="emulated"),
        Measurement(metric="stack_bytes", unit="bytes", value=1_512, samples=(1_512,), how="emulated"),
        Measurement(metric="accuracy", unit="fraction", value=1.0, samples=(*right, 1.0), stage="float host"),
        Measurement(metric="accuracy", unit="fraction", value=0.9, samples=(*right, 0.0), stage="int8 host"),
        Measurement(metric="accuracy", unit="fraction", value=0.9, samples=(*right, 0.0), how="emulated",
                    stage="device", instrument="board under qemu-system-arm"),
        Measurement(metric="device_mismatched_bytes", unit="bytes", value=0, samples=(0,) * 18, how="emulated"),
        Measurement(metric="onnxruntime_max_lsb", unit="LSB", value=1, samples=(0, 1), how="emulated"),
    )  # fmt: skip


def _profile() -> tuple[LayerMeasurement, ...]:
    return tuple(
        LayerMeasurement(index=i, name=name, op=op, ticks=(int(cost / 40),) * 5, instructions=cost, microseconds=None,
                         macs=macs)
        for i, ((name, op, macs, _, _), cost) in enumerate(zip(LAYERS, INSTRUCTIONS, strict=True))
    )  # fmt: skip
