"""A device that runs a bundle: installing it, running samples, asking for its figures. One class for every link."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np

from edgecompress.core import answers, fault_text, slot_info, wire
from edgecompress.core.answers import DeviceInfo, Fault, Hello, Stats
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import ConfigError, TransferError, UnreachableError, UsageError, WrongDeviceError
from edgecompress.core.session import ANSWER_TIMEOUT_S, HELLO_TIMEOUT_S, ByteStream, Clock, RestartedError, Session
from edgecompress.core.target import Target
from edgecompress.core.values import Array, Progress, TensorSpec, no_progress
from edgecompress.core.wire import Command

__all__ = ["ByteStream", "Device", "DeviceInfo", "Fault", "Link", "Run", "Stats"]

logger = logging.getLogger(__name__)

RUN_TIMEOUT_S = 120.0
RUN_REQUEST_S = 2.0

_WRITE_HEADER = struct.Struct("<II")


class Link(Protocol):
    """How a deploy module starts a bundle's program and reaches it.

    `instructions_per_tick` says how many executed instructions a tick of an emulated device is; None when its clock
    means nothing, and on a real device, whose clock gives time. `board` is the Linux system that the program runs
    on, once it was started; None on bare metal.
    """

    description: str
    emulated: bool
    instructions_per_tick: float | None
    board: Board | None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:
        """Bring the bundle's program onto the device, start it and open the stream to it."""

    def accept(self) -> None:
        """Keep the program: it answered and reproduced the bundle's vectors. Called once after each `start`."""

    def close(self) -> None:
        """End what `start` began; harmless twice."""


@runtime_checkable
class OpenLink(Link, Protocol):
    """A link that also reaches a device as it is."""

    def join(self, progress: Progress) -> ByteStream:
        """Start the device with what lies on it, where that is needed, and open the stream to it; write nothing."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one sample gave: outputs by name, each spec.shape[1:], and the ticks of every inference."""

    outputs: dict[str, Array]
    ticks: tuple[int, ...]


class Device:
    """A target, reached over a link. Nothing can be run before `install` has succeeded."""

    def __init__(self, link: Link, target: Target, *, clock: Clock = time.monotonic) -> None:
        self.target = target
        self._clock = clock
        self._link = link
        self._session: Session | None = None
        self._bundle: Bundle | None = None
        self._info: DeviceInfo | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def description(self) -> str:
        """What the device is, in words."""
        return self._link.description

    @property
    def emulated(self) -> bool:
        """True when its figures are an emulator's."""
        return self._link.emulated

    @property
    def instructions_per_tick(self) -> float | None:
        """Executed instructions a tick on an emulated device that counts them, else None."""
        return self._link.instructions_per_tick

    @property
    def board(self) -> Board | None:
        """The Linux system that the installed program runs on; None on bare metal."""
        return self._link.board

    def install(self, bundle: Bundle, progress: Progress = no_progress) -> None:
        """Start the bundle's program and prove that it is there and right.

        Counts as done only when hello brings the bundle's build id and every test vector comes out byte for byte.
        Raises UnreachableError when nothing, or nothing sensible, answers in time; WrongDeviceError for another
        target, program or protocol; TransferError when an output differs.
        """
        self._refuse_another_target(bundle)
        self.close()
        self._session = Session(self._link.start(bundle, progress), self.description, clock=self._clock)
        try:
            self.adopt(bundle, progress)
            self._link.accept()
        except BaseException:
            self.close()
            raise

    def join(self, progress: Progress = no_progress) -> Hello:
        """Reach the device as it is, and return what it says of itself; nothing can be run before `adopt`.

        Raises UsageError when the link only reaches what it brought itself, otherwise as `install` does.
        """
        if not isinstance(self._link, OpenLink):
            raise UsageError(
                f"{self.description} is reached with a program of its own only",
                hint="slots are reached by serial://PORT, or qemu://FOLDER for an emulated board that is kept",
            )
        self.close()
        self._session = Session(self._link.join(progress), self.description, clock=self._clock)
        return self.greet()

    def greet(self, timeout_s: float = HELLO_TIMEOUT_S) -> Hello:
        """Begin the conversation anew; return what the device says of itself."""
        hello = answers.read_hello(self._open_session().greet(timeout_s))
        if hello is None:
            raise WrongDeviceError(
                f"{self.description} does not speak protocol version {wire.PROTOCOL_VERSION}",
                hint="its firmware is of another edgecompress: compile and deploy again",
            )
        return hello

    def adopt(self, bundle: Bundle, progress: Progress = no_progress) -> None:
        """Prove that the bundle's network runs there, by hello and the test vectors; raises as `install` does."""
        self._refuse_another_target(bundle)
        self._bundle = bundle
        self._info = self._meet(bundle)
        self._forget_old_fault()
        self._verify(bundle, progress)

    def ask(self, command: Command, payload: bytes = b"", *, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes:
        """Send one request; return the answer's payload.

        Raises UnreachableError when none comes in time or the device restarted, RefusedError when it says no.
        """
        return self._ask(command, payload, timeout_s=timeout_s)

    def describe(self) -> DeviceInfo:
        """What the device told about itself."""
        if self._info is None:
            raise UnreachableError(f"nothing is installed on {self.description}", hint="install a bundle first")
        return self._info

    def run(self, inputs: Mapping[str, Array], repeat: int = 1) -> Run:
        """Run one sample `repeat` times; every input has its spec's shape, with or without the leading 1."""
        ticks = self._run(inputs, repeat)
        outputs = {spec.name: self._read_output(i, spec) for i, spec in enumerate(self.describe().outputs)}
        return Run(outputs=outputs, ticks=ticks)

    def profile(self, inputs: Mapping[str, Array], repeat: int = 1) -> tuple[tuple[int, ...], ...]:
        """Run one sample layer by layer; return, for every layer, the ticks of every repeat."""
        runs = [self._profile_once(inputs) for _ in range(repeat)]
        return tuple(zip(*runs, strict=True))

    def read_stats(self) -> Stats:
        """Ask for the stack's and the arena's size, and the resident memory where there is an operating system."""
        return answers.read_stats(self._ask(Command.STATS))

    def use_threads(self, count: int) -> None:
        """Spread the layers over so many threads from now on; the outputs stay the same byte for byte.

        Raises TransferError when the device has not so many: bare boards have one.
        """
        self._ask(Command.THREADS, struct.pack("<I", count))

    def read_fault(self) -> Fault | None:
        """Ask for the fault record, which outlives a reset; None when there is none."""
        return answers.read_fault(self._ask(Command.FAULT, b"\0"))

    def reset(self, timeout_s: float = HELLO_TIMEOUT_S) -> Hello:
        """Start the device anew, as after power-on, and greet it."""
        with suppress(RestartedError):  # the answer was lost, the device already is anew
            self._open_session().ask(Command.RESET)
        return self.greet(timeout_s)

    def close(self) -> None:
        """End the session and what the link started; harmless twice."""
        self._session = self._info = None
        self._link.close()

    def _open_session(self) -> Session:
        if self._session is None:
            raise UnreachableError(f"nothing is installed on {self.description}", hint="install a bundle first")
        return self._session

    def _ask(self, command: Command, payload: bytes = b"", *, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes:
        session = self._open_session()
        try:
            return session.ask(command, payload, timeout_s=timeout_s)
        except RestartedError as error:
            raise self._explain_restart(session, error) from error

    def _explain_restart(self, session: Session, error: RestartedError) -> UnreachableError:
        """Greet the restarted device and turn its fault record into an error that names the layer."""
        fault = None
        with suppress(UnreachableError, TransferError):
            session.greet()
            fault = answers.read_fault(session.ask(Command.FAULT, b"\0"))
        if fault is None:
            return UnreachableError(error.message, hint="it left no fault record: was it reset, or its power cut?")
        stopped = UnreachableError(
            f"{self.description} stopped with {fault_text.describe(fault, self._bundle)}",
            hint=fault_text.advise(fault),
        )
        stopped.figures["fault"] = asdict(fault)
        return stopped

    def _refuse_another_target(self, bundle: Bundle) -> None:
        if bundle.manifest.target != self.target.name:
            raise WrongDeviceError(
                f"the bundle was built for {bundle.manifest.target}, the device is {self.target.name}",
                hint=f"compile for {self.target.name}, or deploy to {bundle.manifest.target}",
            )

    def _meet(self, bundle: Bundle) -> DeviceInfo:
        hello = self.greet()
        manifest = bundle.manifest
        if hello.build_id != manifest.build_id:
            raise WrongDeviceError(
                f"{self.description} runs build {hello.build_id}; the bundle is build {manifest.build_id}",
                hint=self._why_another_build(),
            )
        if hello.target != manifest.target:
            raise WrongDeviceError(f"{self.description} says it is {hello.target}; the bundle is for {manifest.target}")
        inputs = tuple(self._ask_tensor(0, i) for i in range(hello.inputs))
        outputs = tuple(self._ask_tensor(1, i) for i in range(hello.outputs))
        self._compare_specs("input", inputs, manifest.inputs)
        self._compare_specs("output", outputs, manifest.outputs)
        return DeviceInfo(
            protocol_version=wire.PROTOCOL_VERSION,
            largest_payload=hello.largest_payload,
            build_id=hello.build_id,
            target=hello.target,
            ticks_per_second=hello.ticks_per_second,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            layers=hello.layers,
        )

    def _why_another_build(self) -> str:
        with suppress(TransferError, UnreachableError):
            running = slot_info.read(self._ask(Command.SLOT_INFO)).running
            if running is not None:
                return f"the network in its slot {running.name} runs: deploy this bundle with --slot (docs/slots.md)"
        return "another program is on the device: deploy this bundle to it"

    def _ask_tensor(self, kind: int, index: int) -> TensorSpec:
        return answers.read_tensor(self._ask(Command.TENSOR, struct.pack("<BI", kind, index)))

    def _compare_specs(self, kind: str, told: tuple[TensorSpec, ...], meant: tuple[TensorSpec, ...]) -> None:
        if len(told) != len(meant):
            raise WrongDeviceError(f"{self.description} has {len(told)} {kind}s; the bundle has {len(meant)}")
        for index, (there, here) in enumerate(zip(told, meant, strict=True)):
            if there != answers.as_told(here):
                raise WrongDeviceError(
                    f"{kind} {index} of {self.description} is {there!r}; the bundle's is {answers.as_told(here)!r}"
                )

    def _forget_old_fault(self) -> None:
        fault = answers.read_fault(self._ask(Command.FAULT, b"\1"))
        if fault is not None:
            logger.warning("%s had stopped before: %s", self.description, fault_text.describe(fault, self._bundle))

    def _verify(self, bundle: Bundle, progress: Progress) -> None:
        inputs, expected = bundle.vectors()
        count = bundle.manifest.vectors.count
        for vector in range(count):
            progress("verify", vector, count)
            run = self.run({name: values[vector] for name, values in inputs.items()})
            for name, values in expected.items():
                self._compare_output(name, run.outputs[name], values[vector], vector)
        progress("verify", count, count)

    def _compare_output(self, name: str, got: Array, expected: Array, vector: int) -> None:
        got_bytes = np.frombuffer(got.tobytes(), np.uint8)
        expected_bytes = np.frombuffer(expected.tobytes(), np.uint8)
        wrong = np.flatnonzero(got_bytes != expected_bytes)
        if wrong.size:
            first = int(wrong[0])
            raise TransferError(
                f"{self.description} computes other bytes than the host program: output {name!r} of vector {vector} "
                f"differs in {wrong.size:,} of {expected_bytes.size:,} bytes, first at byte {first} "
                f"({got_bytes[first]} instead of {expected_bytes[first]})",
                hint="the program on the device is damaged, or its compiler computes differently: compile again",
            )

    def _write_inputs(self, inputs: Mapping[str, Array]) -> None:
        room = self.describe().largest_payload - _WRITE_HEADER.size
        for index, spec in enumerate(self.describe().inputs):
            data = _bytes_of(inputs, spec)
            for start in range(0, len(data), room):
                header = _WRITE_HEADER.pack(index, start)
                self._ask(Command.WRITE_INPUT, header + data[start : start + room])

    @property
    def _ticks_an_answer(self) -> int:
        return self.describe().largest_payload // wire.TICK_BYTES

    @property
    def _keeps_inputs(self) -> bool:
        return self._bundle is None or self._bundle.manifest.keeps_inputs

    def _run(self, inputs: Mapping[str, Array], repeat: int) -> tuple[int, ...]:
        """Run in requests of about two seconds, so that a deadline can tell a slow network from a dead device.

        A request asks for no more ticks than its answer holds. When an inference writes over its inputs, every one is a
        request of its own.
        """
        ticks: list[int] = []
        chunk = 1
        while len(ticks) < repeat:
            if not ticks or not self._keeps_inputs:
                self._write_inputs(inputs)
            count = min(chunk, repeat - len(ticks))
            begin = self._clock()
            ticks += self._ask_ticks(Command.RUN, count, expected=count)
            seconds_each = max(self._clock() - begin, 1e-6) / count
            if self._keeps_inputs:
                chunk = max(1, min(self._ticks_an_answer, int(RUN_REQUEST_S / seconds_each)))
        return tuple(ticks)

    def _profile_once(self, inputs: Mapping[str, Array]) -> tuple[int, ...]:
        """Ask for all layers' ticks, in as many whole inferences as it takes to tell them."""
        layers = self.describe().layers
        ticks: list[int] = []
        while len(ticks) < layers:
            if not ticks or not self._keeps_inputs:
                self._write_inputs(inputs)
            expected = min(self._ticks_an_answer, layers - len(ticks))
            ticks += self._ask_ticks(Command.PROFILE, len(ticks), expected=expected)
        return tuple(ticks)

    def _ask_ticks(self, command: Command, number: int, *, expected: int) -> tuple[int, ...]:
        payload = self._ask(command, struct.pack("<I", number), timeout_s=RUN_TIMEOUT_S)
        if len(payload) != wire.TICK_BYTES * expected:
            raise TransferError(
                f"{self.description} answered {command.name} with {len(payload)} bytes instead of "
                f"{wire.TICK_BYTES * expected}"
            )
        return struct.unpack(f"<{expected}Q", payload)

    def _read_output(self, index: int, spec: TensorSpec) -> Array:
        data = b""
        while len(data) < spec.byte_size:
            count = min(self.describe().largest_payload, spec.byte_size - len(data))
            part = self._ask(Command.READ_OUTPUT, struct.pack("<III", index, len(data), count))
            if len(part) != count:
                raise TransferError(f"{self.description} sent {len(part)} bytes of {spec.name!r} instead of {count}")
            data += part
        return np.frombuffer(data, spec.dtype).reshape(spec.shape[1:])


def _bytes_of(inputs: Mapping[str, Array], spec: TensorSpec) -> bytes:
    if spec.name not in inputs:
        raise ConfigError(f"the sample has no input {spec.name!r}; it has {', '.join(sorted(inputs)) or 'none'}")
    value = np.asarray(inputs[spec.name])
    if value.shape not in (spec.shape, spec.shape[1:]) or value.dtype != spec.dtype:
        raise ConfigError(
            f"input {spec.name!r} is {value.dtype} {value.shape}; the network takes {spec.dtype} {spec.shape}"
        )
    return value.tobytes()
