"""Device and Session against a device in memory, on a clock that only the fake stream moves."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecompress.core import answers, wire
from edgecompress.core import target as targets
from edgecompress.core.bundle import Arena, Bundle, Layer, Manifest, Sizes, Vectors
from edgecompress.core.device import Device
from edgecompress.core.errors import ConfigError, TransferError, UnreachableError, WrongDeviceError
from edgecompress.core.session import Session
from edgecompress.core.values import Progress, TensorSpec
from edgecompress.core.wire import Command, Frame, Status

BUILD_ID = bytes(range(16))
INPUT = TensorSpec(name="x", shape=(1, 300), dtype="int8", scale=0.1, zero_point=-3)
OUTPUT = TensorSpec(name="y", shape=(1, 300), dtype="int8", scale=0.2, zero_point=4)
LAYERS = 70
NAME = "the fake board"


class FakeClock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeStream:
    """What `answer` makes of every written block of bytes can be read; without bytes a read takes its whole time."""

    def __init__(self, clock: FakeClock, answer: Callable[[bytes], bytes]) -> None:
        self.clock = clock
        self.written: list[bytes] = []
        self._answer = answer
        self._coming = b""

    def read(self, timeout_s: float) -> bytes:
        if not self._coming:
            self.clock.now += timeout_s
            return b""
        self.clock.now += 0.001
        data, self._coming = self._coming[:100], self._coming[100:]
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        self.written.append(data)
        self._coming += self._answer(data)


class FakeBoard:
    """Speaks the protocol as device_runtime does, around a network that adds 1 to its input."""

    def __init__(self) -> None:
        self.build_id = BUILD_ID
        self.target = "host"
        self.version = wire.PROTOCOL_VERSION
        self.largest_payload = wire.LEAST_PAYLOAD
        self.threads = 1
        self.requests = 0
        self.tensors = {0: INPUT, 1: OUTPUT}
        self.memory = bytearray(300)
        self.output = bytes(300)
        self.offset = 1
        self.runs = 0
        self.fault = b""
        self.in_session = False
        self.last: tuple[int, bytes] = (-1, b"")
        self._reader = wire.Reader()

    def __call__(self, data: bytes) -> bytes:
        return b"".join(self.respond(frame) for frame in self._reader.take(data))

    def respond(self, request: Frame) -> bytes:
        if request.sequence != self.last[0] or request.command == Command.HELLO:
            status, payload = self.execute(Command(request.command), request.payload)
            answer = Frame(
                command=request.command | wire.ANSWER_BIT, sequence=request.sequence, payload=payload, status=status
            )
            self.last = (request.sequence, wire.encode(answer))
        return self.last[1]

    def execute(self, command: Command, payload: bytes) -> tuple[Status, bytes]:
        self.in_session = self.in_session or command is Command.HELLO
        self.requests += 1
        assert len(payload) <= self.largest_payload
        if not self.in_session:
            return Status.NO_SESSION, b""
        answer: tuple[Status, bytes] = getattr(self, f"do_{command.name.lower()}")(payload)
        return answer

    def do_hello(self, _: bytes) -> tuple[Status, bytes]:
        counts = struct.pack("<16sQIIII", self.build_id, 1000, 1, 1, LAYERS, 600)
        name = bytes([len(self.target)]) + self.target.encode()
        return Status.OK, struct.pack("<HH", self.version, self.largest_payload) + counts + name

    def do_slot_info(self, _: bytes) -> tuple[Status, bytes]:
        return Status.UNKNOWN_COMMAND, b""

    def do_tensor(self, payload: bytes) -> tuple[Status, bytes]:
        spec = self.tensors[payload[0]]
        shape = struct.pack(f"<BB{len(spec.shape)}I", 1, len(spec.shape), *spec.shape)
        numbers = struct.pack("<fiI", spec.scale or 0.0, spec.zero_point or 0, spec.byte_size)
        return Status.OK, shape + numbers + bytes([len(spec.name)]) + spec.name.encode()

    def do_write_input(self, payload: bytes) -> tuple[Status, bytes]:
        _, at = struct.unpack_from("<II", payload)
        self.memory[at : at + len(payload) - 8] = payload[8:]
        return Status.OK, b""

    def do_run(self, payload: bytes) -> tuple[Status, bytes]:
        (count,) = struct.unpack("<I", payload)
        self.runs += count
        self.output = (np.frombuffer(self.memory, np.int8) + np.int8(self.offset)).tobytes()
        return Status.OK, struct.pack(f"<{count}Q", *range(count))

    def do_read_output(self, payload: bytes) -> tuple[Status, bytes]:
        _, at, count = struct.unpack("<III", payload)
        return Status.OK, self.output[at : at + count]

    def do_profile(self, payload: bytes) -> tuple[Status, bytes]:
        (first,) = struct.unpack("<I", payload)
        layers = range(first, min(LAYERS, first + self.largest_payload // 8))
        return Status.OK, struct.pack(f"<{len(layers)}Q", *layers)

    def do_threads(self, payload: bytes) -> tuple[Status, bytes]:
        (count,) = struct.unpack("<I", payload)
        if count > 4:
            return Status.UNSUPPORTED, b""
        self.threads = count
        return Status.OK, b""

    def do_stats(self, _: bytes) -> tuple[Status, bytes]:
        return Status.OK, struct.pack("<BQBQ", wire.Statistic.ARENA_BYTES, 600, wire.Statistic.STACK_BYTES, 123)

    def do_fault(self, payload: bytes) -> tuple[Status, bytes]:
        told = self.fault
        self.fault = b"" if payload == b"\1" else self.fault
        return Status.OK, told

    def do_reset(self, _: bytes) -> tuple[Status, bytes]:
        self.in_session = False
        return Status.OK, b""


class ForgetfulBoard(FakeBoard):
    """Writes over its input in every inference."""

    def do_run(self, payload: bytes) -> tuple[Status, bytes]:
        (count,) = struct.unpack("<I", payload)
        assert count == 1, "the second inference has no input"
        answer = super().do_run(payload)
        self.memory[:] = bytes(300)
        return answer

    def do_profile(self, payload: bytes) -> tuple[Status, bytes]:
        assert any(self.memory), "there is no input"
        self.memory[:] = bytes(300)
        return super().do_profile(payload)


class FaultyBoard(FakeBoard):
    """Restarts in the middle of every run, with or without a fault record."""

    def __init__(self, record: bytes) -> None:
        super().__init__()
        self.record = record

    def do_run(self, payload: bytes) -> tuple[Status, bytes]:
        self.in_session = False
        self.fault = self.record
        return Status.NO_SESSION, b""


class FakeLink:
    """Hands out a stream; counts how often what it brought was accepted, and how often it was closed."""

    description = NAME
    emulated = False
    instructions_per_tick = None
    board = None

    def __init__(self, stream: FakeStream) -> None:
        self.stream = stream
        self.closed = 0
        self.accepted = 0

    def start(self, bundle: Bundle, progress: Progress) -> FakeStream:
        return self.stream

    def accept(self) -> None:
        self.accepted += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "vectors").mkdir()
    inputs = np.random.default_rng(0).integers(-128, 127, (3, 300)).astype(np.int8)
    np.save(tmp_path / "vectors" / "inputs_0.npy", inputs)
    np.save(tmp_path / "vectors" / "outputs_0.npy", inputs + np.int8(1))
    zeros = {name: 0 for name in Sizes.model_fields if name != "sections"}
    layer = {"op": "conv", "kernel": "k", "onnx_nodes": (), "macs": 0, "weight_bytes": 0, "code_bytes": 0}
    return Bundle(
        folder=tmp_path,
        manifest=Manifest(
            name="fake",
            build_id=BUILD_ID.hex(),
            target="host",
            port="linux",
            inputs=(INPUT,),
            outputs=(OUTPUT,),
            steps=(),
            model_sha256="",
            layers=tuple(Layer(index=i, name=f"conv{i}", output_shape=(), **layer) for i in range(LAYERS)),
            arena=Arena(bytes=600, bound=600, peak_layer=0, placements=()),
            sizes=Sizes(sections={}, **zeros),
            vectors=Vectors(count=3, origin="seeded", seed=0),
            program="program",
            files={},
            tools={},
        ),
    )


def device_on(answer: Callable[[bytes], bytes]) -> tuple[Device, FakeLink]:
    link = FakeLink(FakeStream(FakeClock(), answer))
    return Device(link, targets.load("host"), clock=link.stream.clock), link


def installed(board: FakeBoard, bundle: Bundle) -> Device:
    device, _ = device_on(board)
    device.install(bundle)
    return device


def refusal(board: Callable[[bytes], bytes], bundle: Bundle) -> Exception:
    """Install, which must fail; whatever was started must be closed again."""
    device, link = device_on(board)
    with pytest.raises((UnreachableError, WrongDeviceError, TransferError)) as caught:
        device.install(bundle)
    assert link.accepted == 0
    assert link.closed == 2, "once before it starts, once after it failed"
    with pytest.raises(UnreachableError, match="nothing is installed on the fake board"):
        device.run({"x": np.zeros(300, np.int8)})
    return caught.value


def test_installing_shows_progress_and_then_knows_the_device(bundle: Bundle) -> None:
    device, _ = device_on(FakeBoard())
    steps: list[tuple[str, int, int]] = []
    device.install(bundle, lambda *step: steps.append(step))
    assert steps == [("verify", 0, 3), ("verify", 1, 3), ("verify", 2, 3), ("verify", 3, 3)]
    info = device.describe()
    assert (info.build_id, info.target, info.ticks_per_second, info.layers) == (BUILD_ID.hex(), "host", 1000, LAYERS)
    assert (info.inputs, info.outputs) == ((INPUT,), (OUTPUT,))


def test_a_sample_goes_in_and_its_output_comes_back(bundle: Bundle) -> None:
    sample = np.arange(300).astype(np.int8)
    run = installed(FakeBoard(), bundle).run({"x": sample}, repeat=40)
    assert run.outputs["y"].shape == (300,)
    assert run.outputs["y"].tolist() == (sample + np.int8(1)).tolist()
    assert len(run.ticks) == 40


def test_a_sample_may_have_the_leading_one(bundle: Bundle) -> None:
    run = installed(FakeBoard(), bundle).run({"x": np.zeros((1, 300), np.int8)})
    assert run.outputs["y"].tolist() == [1] * 300


def test_profile_gives_every_layer_the_ticks_of_every_repeat(bundle: Bundle) -> None:
    layers = installed(FakeBoard(), bundle).profile({"x": np.zeros(300, np.int8)}, repeat=2)
    assert layers == tuple((layer, layer) for layer in range(LAYERS))


def test_inputs_that_an_inference_writes_over_are_written_before_every_one(bundle: Bundle) -> None:
    forgetful = replace(bundle, manifest=bundle.manifest.model_copy(update={"keeps_inputs": False}))
    device = installed(ForgetfulBoard(), forgetful)
    sample = {"x": np.arange(300).astype(np.int8)}

    run = device.run(sample, repeat=5)
    layers = device.profile(sample, repeat=2)

    assert run.outputs["y"].tolist() == (sample["x"] + np.int8(1)).tolist()
    assert len(run.ticks) == 5
    assert layers == tuple((layer, layer) for layer in range(LAYERS))


def test_a_device_that_takes_longer_frames_is_asked_less_often(bundle: Bundle) -> None:
    short, long = FakeBoard(), FakeBoard()
    long.largest_payload = 512
    for board in (short, long):
        with installed(board, bundle) as device:
            board.requests = 0
            assert device.run({"x": np.zeros(300, np.int8)}).outputs["y"].tolist() == [1] * 300
    assert (short.requests, long.requests) == (2 + 1 + 2, 3)


def test_a_device_that_takes_less_than_every_device_must_is_refused(bundle: Bundle) -> None:
    board = FakeBoard()
    board.largest_payload = 255
    assert str(refusal(board, bundle)) == "the device takes payloads of 255 bytes; the protocol's least is 256"


def test_threads_are_as_many_as_were_asked_for(bundle: Bundle) -> None:
    board = FakeBoard()
    device = installed(board, bundle)
    device.use_threads(4)
    assert board.threads == 4
    with pytest.raises(TransferError, match=r"^the fake board refused THREADS: UNSUPPORTED$"):
        device.use_threads(5)


def test_statistics_that_the_device_does_not_tell_are_none(bundle: Bundle) -> None:
    stats = installed(FakeBoard(), bundle).read_stats()
    assert (stats.arena_bytes, stats.stack_bytes, stats.resident_bytes) == (600, 123, None)


def test_a_reset_device_is_greeted_again(bundle: Bundle) -> None:
    device = installed(FakeBoard(), bundle)
    device.reset()
    assert device.run({"x": np.zeros(300, np.int8)}).outputs["y"][0] == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the sample has no input 'x'; it has none"),
        ({"z": np.zeros(300, np.int8)}, "the sample has no input 'x'; it has z"),
        ({"x": np.zeros(300, np.float32)}, "input 'x' is float32 (300,); the network takes int8 (1, 300)"),
        ({"x": np.zeros(299, np.int8)}, "input 'x' is int8 (299,); the network takes int8 (1, 300)"),
    ],
)
def test_a_sample_that_does_not_fit_the_network_is_refused(
    inputs: dict[str, np.ndarray], message: str, bundle: Bundle
) -> None:
    device = installed(FakeBoard(), bundle)
    with pytest.raises(ConfigError) as caught:
        device.run(inputs)
    assert caught.value.message == message


def test_silence_is_reported_after_ten_seconds(bundle: Bundle) -> None:
    error = refusal(lambda _: b"", bundle)
    assert isinstance(error, UnreachableError)
    assert error.message == "no answer from the fake board within 10 s"
    assert error.hint == "is the program running there, and is this its line? reset the device and try again"


def test_garbage_that_does_not_end_is_reported_early(bundle: Bundle) -> None:
    error = refusal(lambda _: b"login: ", bundle)
    assert isinstance(error, UnreachableError)
    assert error.message == "the fake board sent 35 bytes in 2.5 s, but no frame"
    assert error.hint == "another program seems to run there, or the baud rate is wrong"


def test_a_line_that_only_echoes_is_recognised(bundle: Bundle) -> None:
    error = refusal(lambda data: data, bundle)
    assert isinstance(error, UnreachableError)
    assert error.hint == "it only repeats what it is sent: no runtime is running there"


def test_boot_noise_and_log_text_do_no_harm(bundle: Bundle) -> None:
    board = FakeBoard()
    device, _ = device_on(lambda data: b"boot 1.0\r\n" + board(data) + b"log: \x1b[32m ok\n")
    device.install(bundle)
    assert device.describe().target == "host"


def test_another_build_is_refused(bundle: Bundle) -> None:
    board = FakeBoard()
    board.build_id = bytes(16)
    error = refusal(board, bundle)
    assert isinstance(error, WrongDeviceError)
    assert error.message == (
        "the fake board runs build 00000000000000000000000000000000; "
        "the bundle is build 000102030405060708090a0b0c0d0e0f"
    )


def test_another_target_is_refused(bundle: Bundle) -> None:
    board = FakeBoard()
    board.target = "mps2-an386"
    error = refusal(board, bundle)
    assert isinstance(error, WrongDeviceError)
    assert error.message == "the fake board says it is mps2-an386; the bundle is for host"


def test_another_version_of_the_protocol_is_refused(bundle: Bundle) -> None:
    board = FakeBoard()
    board.version = 2
    error = refusal(board, bundle)
    assert isinstance(error, WrongDeviceError)
    assert error.message == "the fake board does not speak protocol version 1"


@pytest.mark.parametrize(
    "change", [{"scale": 0.3}, {"zero_point": 0}, {"shape": (300,)}, {"name": "z"}, {"dtype": "uint8"}]
)
def test_another_tensor_is_refused(change: dict[str, object], bundle: Bundle) -> None:
    manifest = bundle.manifest.model_copy(update={"inputs": (INPUT.model_copy(update=change),)})
    error = refusal(FakeBoard(), Bundle(folder=bundle.folder, manifest=manifest))
    assert isinstance(error, WrongDeviceError)
    assert error.message.startswith("input 0 of the fake board is TensorSpec(name='x', shape=(1, 300), dtype='int8'")


def test_a_bundle_for_another_target_is_not_even_started(bundle: Bundle) -> None:
    manifest = bundle.manifest.model_copy(update={"target": "mps2-an386"})
    device, link = device_on(FakeBoard())
    with pytest.raises(WrongDeviceError) as caught:
        device.install(Bundle(folder=bundle.folder, manifest=manifest))
    assert caught.value.message == "the bundle was built for mps2-an386, the device is host"
    assert link.stream.written == []


def test_an_output_that_differs_is_named(bundle: Bundle) -> None:
    board = FakeBoard()
    board.offset = 2
    error = refusal(board, bundle)
    assert isinstance(error, TransferError)
    inputs, _ = bundle.vectors()
    first = int(inputs["x"][0, 0])
    assert error.message == (
        "the fake board computes other bytes than the host program: output 'y' of vector 0 differs in 300 of 300 "
        f"bytes, first at byte 0 ({(first + 2) % 256} instead of {(first + 1) % 256})"
    )


def test_a_lost_answer_is_asked_for_again_and_the_run_is_not_repeated(bundle: Bundle) -> None:
    board = FakeBoard()
    losing = iter([True, False] * 1000)
    device, _ = device_on(lambda data: b"" if (answer := board(data)) and next(losing) else answer)
    device.install(bundle)
    assert board.runs == 3


def test_a_damaged_answer_is_asked_for_again(bundle: Bundle) -> None:
    board = FakeBoard()
    damaging = iter([1, 0] * 1000)
    device, _ = device_on(lambda data: (a := board(data))[:5] + bytes([a[5] ^ next(damaging)]) + a[6:])
    device.install(bundle)
    assert board.runs == 3


def test_a_damaged_request_is_sent_again(bundle: Bundle) -> None:
    board = FakeBoard()
    damaging = iter([1, 0] * 1000)
    device, _ = device_on(lambda data: board(data[:5] + bytes([data[5] ^ next(damaging)]) + data[6:]))
    device.install(bundle)
    assert board.runs == 3


def test_an_answer_that_comes_twice_is_taken_once(bundle: Bundle) -> None:
    board = FakeBoard()
    device, _ = device_on(lambda data: 2 * board(data))
    device.install(bundle)
    assert device.run({"x": np.zeros(300, np.int8)}, repeat=2).ticks == (0, 0)


def test_a_device_that_falls_silent_in_a_run_is_reported(bundle: Bundle) -> None:
    board = FakeBoard()
    error = refusal(lambda data: b"" if (answer := board(data)) and board.runs else answer, bundle)
    assert isinstance(error, UnreachableError)
    assert error.message == "no answer to RUN from the fake board within 120 s"


def fault_record(*told: int) -> bytes:
    """Kind, layer, detail, pc and address of a device that knows no more."""
    return struct.pack("<IIIQQ", *told) + struct.pack("<I4sII", 0, BUILD_ID[:4], 0, 0)


def test_a_restart_with_a_fault_record_names_the_layer(bundle: Bundle) -> None:
    record = fault_record(wire.FaultKind.USAGE, 12, 0x20000, 0x1234, 0)
    error = refusal(FaultyBoard(record), bundle)
    assert isinstance(error, UnreachableError)
    assert error.message == (
        "the fake board stopped with usage fault in layer 12 (conv12), at pc 0x1234, address 0x0, status 0x20000"
    )


def test_a_restart_without_a_fault_record_says_so(bundle: Bundle) -> None:
    error = refusal(FaultyBoard(b""), bundle)
    assert isinstance(error, UnreachableError)
    assert error.message == "the fake board restarted before RUN was done"
    assert error.hint == "it left no fault record: was it reset, or its power cut?"


def test_an_old_fault_record_is_logged_and_cleared(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    board = FakeBoard()
    board.fault = fault_record(wire.FaultKind.BUS, wire.NO_LAYER, 1, 2, 3)
    device = installed(board, bundle)
    assert device.read_fault() is None
    assert caplog.messages == [
        "the fake board had stopped before: bus fault outside of the network, at pc 0x2, address 0x3, status 0x1"
    ]


def test_a_refused_request_says_why() -> None:
    board = FakeBoard()
    session = Session(FakeStream(FakeClock(), board), NAME)
    session.greet()
    board.do_stats = lambda _: (Status.UNSUPPORTED, b"")  # type: ignore[method-assign]
    with pytest.raises(TransferError) as caught:
        session.ask(Command.STATS)
    assert caught.value.message == "the fake board refused STATS: UNSUPPORTED"


def test_an_answer_that_is_too_short_is_an_error() -> None:
    with pytest.raises(TransferError) as caught:
        answers.read_tensor(b"\1\2\3")
    assert caught.value.message == "the device's answer to TENSOR ends after 3 bytes"


def test_a_session_keeps_its_deadline_under_every_pattern_of_silence() -> None:
    for silent in range(1, 30):
        clock = FakeClock()
        stream = FakeStream(clock, lambda _: b"")
        with pytest.raises(UnreachableError):
            Session(stream, NAME, clock=clock).ask(Command.STATS, timeout_s=float(silent))
        assert clock.now <= silent * 1.1
