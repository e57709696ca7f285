"""The packets of the GDB remote protocol, against a server that is a script."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompress.core.errors import TransferError, UnreachableError
from edgecompress.deploy import _gdb_remote
from edgecompress.deploy._gdb_remote import GdbRemote

SHORT_S = 0.02


def packet(payload: bytes) -> bytes:
    return b"$" + payload + b"#%02x" % (sum(payload) % 256)


class Script:
    """A stream that answers each write in turn; nothing when the script is over."""

    def __init__(self, *answers: bytes) -> None:
        self.written: list[bytes] = []
        self._answers = list(answers)
        self._ready = b""

    def read(self, timeout_s: float) -> bytes:
        if not self._ready:
            time.sleep(min(timeout_s, SHORT_S))
        data, self._ready = self._ready, b""
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        self.written.append(data)
        if data != b"+" and self._answers:
            self._ready += self._answers.pop(0)

    def close(self) -> None:
        self.written.append(b"closed")


def remote_of(*answers: bytes) -> tuple[GdbRemote, Script]:
    script = Script(*answers)
    return GdbRemote(script, "the server"), script


def test_a_packet_carries_its_checksum_and_its_answer_is_acknowledged() -> None:
    remote, script = remote_of(b"+" + packet(b"T05"))
    assert remote.ask(b"?") == b"T05"
    assert script.written == [b"$?#3f", b"+"]


def test_a_packet_that_arrived_damaged_is_sent_again() -> None:
    remote, script = remote_of(b"-", b"+" + packet(b"T05"))
    assert remote.ask(b"?") == b"T05"
    assert script.written == [b"$?#3f", b"$?#3f", b"+"]


def test_a_damaged_answer_is_asked_for_again() -> None:
    remote, script = remote_of(b"+$T05#00", packet(b"T05"))
    assert remote.ask(b"?") == b"T05"
    assert script.written == [b"$?#3f", b"-", b"+"]


@pytest.mark.parametrize("answers", [(b"-",) * 4, (b"+$T05#00", *(b"$T05#00",) * 3)])
def test_what_is_damaged_every_time_is_given_up(answers: Sequence[bytes]) -> None:
    remote, script = remote_of(*answers)
    with pytest.raises(UnreachableError) as caught:
        remote.ask(b"?")
    assert caught.value.message in ("the server gets damaged packets", "the server sends damaged packets")
    assert len(script.written) == 4


def test_damage_among_what_a_server_prints_ends_the_conversation() -> None:
    remote, script = remote_of(b"+$O4142#00" + packet(b"OK"))
    with pytest.raises(UnreachableError):
        remote.monitor("version")
    assert b"-" not in script.written


def test_what_a_server_prints_comes_in_pieces() -> None:
    remote, script = remote_of(
        b"+" + packet(b"O" + b"QE".hex().encode()) + packet(b"O" + b"MU".hex().encode()) + packet(b"OK")
    )
    assert remote.monitor("info version") == "QEMU"
    assert script.written[0] == packet(b"qRcmd," + b"info version".hex().encode())


def test_noise_notifications_and_old_answers_are_passed_over() -> None:
    remote, _ = remote_of(b"noise" + packet(b"T02") + b"%Stop:T05#00+%Stop:T05#00" + packet(b"OK"))
    assert remote.ask(b"vFlashDone") == b"OK"


def test_run_lengths_and_escapes_are_undone() -> None:
    remote, _ = remote_of(b"+" + packet(b"0* 1"), b"+" + packet(b"a}\x03}]b"))
    assert remote.ask(b"m0,3") == b"00001"
    assert remote.ask(b"m0,3") == b"a#}b"


@given(st.binary(max_size=64))
def test_every_byte_survives_being_escaped(data: bytes) -> None:
    escaped = _gdb_remote._escaped(data)
    assert _gdb_remote._decoded(escaped) == data
    assert not set(escaped) & set(b"#$*")


def test_silence_ends_at_the_deadline() -> None:
    remote, _ = remote_of(b"+")
    begin = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        remote.ask(b"?", timeout_s=SHORT_S)
    assert caught.value.message == "the server did not answer in time"
    assert time.monotonic() - begin < 0.5


def test_garbage_without_end_is_given_up() -> None:
    remote, _ = remote_of(b"$" + b"x" * (5 * _gdb_remote.LARGEST_PACKET_BYTES))
    with pytest.raises(UnreachableError) as caught:
        remote.ask(b"?")
    assert caught.value.message == "the server sends no packets"


def test_memory_is_read_in_packets_that_the_server_takes() -> None:
    words = [b"+" + packet(bytes(range(16)).hex().encode()), b"+" + packet(bytes(range(16, 20)).hex().encode())]
    remote, script = remote_of(b"+" + packet(b"PacketSize=40;qXfer:memory-map:read+"), b"+" + packet(b"T05"), *words)
    remote.begin()
    assert remote.has("qXfer:memory-map:read")
    assert remote.read_memory(0x100, 20) == bytes(range(20))
    assert script.written[4] == packet(b"m100,10")
    assert script.written[6] == packet(b"m110,4")


def test_refusals_say_what_was_refused() -> None:
    remote, _ = remote_of(b"+" + packet(b"E0e"), b"+" + packet(b""), b"+" + packet(b"E01"), b"+" + packet(b"E01"))
    assert remote.read_word(0x4000) is None
    with pytest.raises(TransferError) as caught:
        remote.write_memory(0x10, b"ab")
    assert caught.value.message == "the server did not write 2 bytes at 0x10: it does not know that packet"
    with pytest.raises(TransferError) as caught:
        remote.erase_flash(0, 0x800, timeout_s=1)
    assert caught.value.message == "the server did not erase 2,048 bytes at 0x0: it answered 'E01'"
    with pytest.raises(TransferError) as caught:
        remote.monitor("reset")
    assert caught.value.message == "the server refused the command 'reset': it answered 'E01'"
