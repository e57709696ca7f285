"""Flash and RAM: what the network adds to the firmware, the planned arena, and the stack's high-water mark."""

from __future__ import annotations

from edgecompress.core.answers import Stats
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Evidence, Measurement, Measurements
from edgecompress.measure import _clock, _outputs

SECTIONS = "ELF sections"
PAINTED_STACK = "painted stack, high-water mark"
ADDED = "less the same firmware with an empty network"


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Read sizes from the bundle's manifest and, after one more inference, the stack's mark from the device.

    `flash_bytes` and the static part of `ram_bytes` are what the network adds to the same firmware with an empty
    network; `ram_bytes` is that static part (the arena included) and the whole stack. `resident_bytes` and
    `proportional_bytes` are there on devices with an operating system.
    """
    sizes = bundle.manifest.sizes
    evidence.progress("read the stack's mark", 0, 1)
    inputs, _ = bundle.vectors()
    device.run(_outputs.one(inputs, 0))
    told = device.read_stats()
    evidence.progress("read the stack's mark", 1, 1)
    stack = _stack(device, bundle, told.stack_bytes)
    flash = _size("flash_bytes", sizes.flash_bytes, {"counted": f"text and data, {ADDED}"})
    whole = {"counted": "text and data of the whole firmware"}
    return Measurements(
        metrics=(
            flash,
            _ram(sizes.static_ram_bytes, stack),
            _arena(bundle),
            stack,
            _size("firmware_flash_bytes", sizes.firmware_flash_bytes, whole),
            _size(
                "firmware_static_ram_bytes",
                sizes.firmware_static_ram_bytes,
                {"counted": "data and bss of the whole firmware, without stack"},
            ),
            *_of_the_process(device, told),
        )
    )


def _size(metric: str, value: int, conditions: dict[str, str]) -> Measurement:
    return Measurement(
        metric=metric, unit="bytes", value=value, samples=(value,), instrument=SECTIONS, conditions=conditions
    )


def _arena(bundle: Bundle) -> Measurement:
    arena = bundle.manifest.arena
    return Measurement(
        metric="arena_bytes",
        unit="bytes",
        value=arena.bytes,
        samples=(arena.bytes,),
        how="computed",
        instrument="arena planner",
        conditions={"lower bound": f"{arena.bound:,} bytes live at layer {arena.peak_layer}"},
    )


def _stack(device: Device, bundle: Bundle, mark: int | None) -> Measurement:
    how = _clock.how(device)
    if not mark:
        return Measurement(
            metric="stack_bytes",
            unit="bytes",
            value=None,
            how=how,
            missing=f"the port {bundle.manifest.port} does not count its stack",
        )
    return Measurement(
        metric="stack_bytes",
        unit="bytes",
        value=mark,
        samples=(mark,),
        how=how,
        instrument=PAINTED_STACK,
        conditions={"counted": "the deepest stack since the start, the command loop included"},
    )


def _of_the_process(device: Device, told: Stats) -> tuple[Measurement, ...]:
    """Only an operating system has these figures; elsewhere there is nothing that could be missing."""
    each = (
        ("resident_bytes", told.resident_bytes, "largest resident set of the process, by its operating system"),
        (
            "proportional_bytes",
            told.proportional_bytes,
            "resident memory of the process now, shared pages divided among those who share them (Pss)",
        ),
    )
    return tuple(_if_its_own(device, metric, size, by, told) for metric, size, by in each if size is not None)


def _if_its_own(device: Device, metric: str, size: int, instrument: str, told: Stats) -> Measurement:
    """An emulator of user programs runs them as a process of its own: the memory is the emulator's."""
    how = _clock.how(device)
    if device.emulated and device.instructions_per_tick is None:
        reason = f"on {device.description}, the process that has memory is the emulator"
        return Measurement(metric=metric, unit="bytes", value=None, how=how, missing=reason)
    return Measurement(
        metric=metric,
        unit="bytes",
        value=size,
        samples=(size,),
        how=how,
        instrument=instrument,
        void=_why_void(size, told.proportional_bytes),
    )


def _why_void(size: int, now: int | None) -> str | None:
    """The most that ever was cannot be less than what is now: Linux counts VmHWM roughly (proc(5))."""
    if now is None or size >= now:
        return None
    return f"the kernel's rough count is below the {now:,} bytes that the process holds now (Pss)"


def _ram(static: int, stack: Measurement) -> Measurement:
    if stack.value is None:
        return Measurement(
            metric="ram_bytes",
            unit="bytes",
            value=None,
            how=stack.how,
            missing=f"{stack.missing}; the static part is {static:,} bytes",
        )
    total = static + stack.value
    return Measurement(
        metric="ram_bytes",
        unit="bytes",
        value=total,
        samples=(total,),
        how=stack.how,
        instrument=f"{SECTIONS}; {PAINTED_STACK}",
        conditions={"counted": f"{static:,} bytes of data and bss ({ADDED}) and {stack.value:,.0f} bytes of stack"},
    )
