"""Random requests to a device with slots do no harm: every one is answered, and only whole images start."""

from __future__ import annotations

from pathlib import Path

from benchmarks.campaign import _slot_images
from edgecompress.core import tools
from edgecompress.core.wire import Status

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "device_runtime"
SLOTS = RUNTIME / "src" / "slots"
ROUNDS = 1500
REFUSALS = {
    Status.OK,
    Status.BAD_LENGTH,
    Status.BAD_RANGE,
    Status.SLOT_ON_TRIAL,
    Status.SLOT_BAD_HEADER,
    Status.SLOT_WRONG_ADDRESS,
    Status.SLOT_BAD_SIGNATURE,
    Status.SLOT_NOT_BEGUN,
    Status.SLOT_BAD_HASH,
    Status.SLOT_NOTHING,
}


def test_random_requests_are_answered_and_only_whole_images_start(tmp_path: Path) -> None:
    program, images = tmp_path / "program", tmp_path / "images"
    _slot_images.write(images, 0x400, 500)
    includes = [f"-I{path}" for path in (RUNTIME / "include", RUNTIME / "src", SLOTS, HERE)]
    flags = ["-std=c11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *includes]
    verify = tmp_path / "verify.o"
    tools.run(
        ["gcc", *flags, "-Dedgert_ed25519_verify=really_verify", "-c", SLOTS / "ed25519.c", "-o", verify], timeout_s=60
    )
    names = ("slot_requests", "slot_host", "nor", "fake_port", "remembered_verify")
    sources = [HERE / f"{name}.c" for name in names]
    sources += [RUNTIME / "src" / f"{name}.c" for name in ("frame", "fault", "stack", "serve")]
    sources += [path for path in SLOTS.glob("*.c") if path.stem not in ("choose", "ed25519")]
    tools.run(["gcc", *flags, verify, *sources, "-o", program], timeout_s=120)
    told = tools.run([program, images, str(ROUNDS)], timeout_s=120).decode().split()
    seen = {Status(int(status)) for status, count in zip(told[::2], told[1::2], strict=True) if int(count)}
    assert seen >= REFUSALS
