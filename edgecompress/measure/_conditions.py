"""What a board is like before and after a run, and whether figures of that run can be trusted.

Only on a real device with an operating system: an emulator's count of instructions does not depend on heat.
"""

from __future__ import annotations

from typing import TypeVar

from edgecompress.core.device import Device
from edgecompress.core.values import BoardState, ClockState, Conditions
from edgecompress.measure import _board_state

HEADROOM_C = 5.0
"""So near to its limit, a board may have been at it between the two looks."""
CLOCK_TOLERANCE = 0.03
"""A clock that is measured by counters, as on x86, differs by a percent or so while it stands still."""
MOVING_GOVERNORS = {"ondemand", "conservative", "schedutil", "interactive"}
MOVING_DRIVERS = {"intel_pstate", "amd-pstate", "amd-pstate-epp"}
"""Their governor `powersave` is no fixed clock but a dynamic one (admin-guide/pm/intel_pstate.rst, amd-pstate.rst)."""

OTHERS_BUSY = 0.5
"""Cores that other programs may keep busy during the run."""
STOLEN = 0.02
"""Share of a core's time that a hypervisor may take away."""
WAITED = 0.1
"""Share of the run in which some program waited for a core."""
LEAST_JUDGED_S = 0.5
"""The kernel counts CPU time in steps of 10 ms: a shorter run says little of others' load."""
OWN_LOAD = 1.0
"""What the program itself may have added to the load average, by what it ran before."""
OTHERS_LOAD = 1.0
LEAST_AVAILABLE = 0.05
"""Share of the memory that must be available."""
MOST_SWAPPED_PAGES = 64

Number = TypeVar("Number", int, float)

NOW_BITS = {0: "under-voltage", 1: "Arm clock capped", 2: "throttled", 3: "soft temperature limit"}
SINCE_START = 16
"""Bits 16 to 19 say the same since the system's start (raspberrypi.com/documentation, "vcgencmd", get_throttled)."""


def look(device: Device) -> BoardState | None:
    """Read the state of the device's board; None on bare metal and on an emulated device."""
    if device.board is None or device.emulated:
        return None
    return _board_state.read(device.board)


def of_run(run: str, before: BoardState | None, after: BoardState | None, *, threads: int = 1) -> Conditions | None:
    """Join both looks and judge them; None where there was nothing to look at. `threads` are the run's own."""
    if before is None or after is None:
        return None
    reasons = why_void(before, after, threads=threads)
    return Conditions(run=run, before=before, after=after, void="; ".join(reasons) or None)


def why_void(before: BoardState, after: BoardState, *, threads: int = 1) -> tuple[str, ...]:
    """Say, with the figures, everything for which a run between both looks cannot be trusted; nothing if it can."""
    return (
        *_throttled(before, after),
        *_clocks(before, after),
        *_heat(before, after),
        *_others(before, after, threads),
        *_memory(before, after),
    )


def _throttled(before: BoardState, after: BoardState) -> list[str]:
    bits = [state.throttled_bits for state in (before, after) if state.throttled_bits is not None]
    reasons = [f"{name} now (get_throttled)" for bit, name in NOW_BITS.items() if any(one >> bit & 1 for one in bits)]
    for bit, name in NOW_BITS.items():
        earlier, later = (bool((state.throttled_bits or 0) >> bit + SINCE_START & 1) for state in (before, after))
        if earlier:
            reasons.append(f"{name} since the board's start (get_throttled), which hides a new one: restart the board")
        elif later:
            reasons.append(f"{name} during the run (get_throttled)")
    if _grown(before.throttle_events, after.throttle_events) > 0:
        events = _grown(before.throttle_events, after.throttle_events)
        reasons.append(f"the processor throttled {events:,} times during the run (thermal_throttle)")
    return reasons


def _clocks(before: BoardState, after: BoardState) -> list[str]:
    later = {clock.name: clock for clock in after.clocks}
    pairs = [(clock, later.get(clock.name, clock)) for clock in before.clocks]
    found = (
        [
            f"the governor {then.governor} moves the clock of {then.name}: set it to performance"
            for clock, then in pairs
            if _moves(clock) or _moves(then)
        ],
        [
            f"the governor of {then.name} changed from {clock.governor} to {then.governor}"
            for clock, then in pairs
            if clock.governor != then.governor
        ],
        [
            f"the clock of {then.name} moved from {_mhz(clock.current_khz)} to {_mhz(then.current_khz)}"
            for clock, then in pairs
            if _differ(clock.current_khz, then.current_khz)
        ],
        [
            f"the clock of {then.name} is {_mhz(then.current_khz)}, its governor asks for {_mhz(then.highest_khz)}"
            for _, then in pairs
            if _below_its_governor(then)
        ],
    )
    return [reason for reasons in found for reason in _first(reasons)]


def _first(reasons: list[str]) -> list[str]:
    """One of many cores speaks for all."""
    more = len(reasons) - 1
    return [f"{reasons[0]} (and {more} more)" if more > 0 else reasons[0]] if reasons else []


def _moves(clock: ClockState) -> bool:
    if clock.lowest_khz is not None and clock.lowest_khz == clock.highest_khz:
        return False
    return clock.governor in MOVING_GOVERNORS or (clock.governor == "powersave" and clock.driver in MOVING_DRIVERS)


def _below_its_governor(clock: ClockState) -> bool:
    """A firmware that throttles keeps the governor and gives less than it asks for. Turbo is nobody's to ask for."""
    fixed = clock.governor == "performance" and clock.driver not in MOVING_DRIVERS
    if not fixed or clock.current_khz is None or clock.highest_khz is None:
        return False
    return clock.current_khz < (1 - CLOCK_TOLERANCE) * clock.highest_khz


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and abs(one - other) > CLOCK_TOLERANCE * max(one, other)


def _heat(before: BoardState, after: BoardState) -> list[str]:
    for state in (after, before):
        heat, limit = state.temperature_c, state.temperature_limit_c
        if heat is not None and limit is not None and heat > limit - HEADROOM_C:
            return [f"{heat:.1f} °C is too near to the limit of {limit:.0f} °C: cool the board"]
    return []


def _others(before: BoardState, after: BoardState, threads: int) -> list[str]:
    reasons = []
    waiting = max((state.others_cores for state in (before, after) if state.others_cores is not None), default=0.0)
    if waiting > OTHERS_BUSY:
        reasons.append(f"other programs kept {waiting:.1f} cores busy before or after the run")
    if before.load is not None and before.load > OWN_LOAD + OTHERS_LOAD:
        reasons.append(f"the load average was {before.load:.2f} before the run: end other programs, and wait a minute")
    return [*_meanwhile(before, after, threads), *reasons]


def _meanwhile(before: BoardState, after: BoardState, threads: int) -> list[str]:
    """What others took during the run. All cores busy with the program and others tell nothing: see `waited_s` then."""
    run_s = after.at_s - before.at_s
    if run_s < LEAST_JUDGED_S:
        return []
    busy = _grown(before.busy_s, after.busy_s) / run_s - threads
    stolen = _grown(before.stolen_s, after.stolen_s) / run_s
    waited = _grown(before.waited_s, after.waited_s) / run_s
    found = (
        (busy > OTHERS_BUSY, f"other programs kept {busy:.1f} cores busy during the run"),
        (stolen > STOLEN, f"a hypervisor took {stolen:.1%} of a core's time during the run"),
        (waited > WAITED, f"programs had to wait for a core in {waited:.0%} of the run"),
    )
    return [reason for bad, reason in found if bad]


def _memory(before: BoardState, after: BoardState) -> list[str]:
    reasons = []
    swapped = _grown(before.swapped_pages, after.swapped_pages)
    if swapped > MOST_SWAPPED_PAGES:
        reasons.append(f"{swapped:,} pages were swapped during the run")
    for state in (after, before):
        if not state.ram_bytes or state.available_ram_bytes is None:
            continue
        if state.available_ram_bytes < LEAST_AVAILABLE * state.ram_bytes:
            reasons.append(f"only {state.available_ram_bytes:,} of {state.ram_bytes:,} bytes of memory were available")
            break
    return reasons


def _grown(before: Number | None, after: Number | None) -> Number | int:
    return 0 if before is None or after is None else after - before


def _mhz(khz: int | None) -> str:
    return "?" if khz is None else f"{khz / 1000:,.0f} MHz"
