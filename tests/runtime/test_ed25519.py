"""The device's Ed25519 and SHA-2 say what others say: RFC 8032, hashlib, OpenSSL, for every kind of forgery."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Sequence
from pathlib import Path

import ed25519_cases
import pytest
from ed25519_cases import Case

from edgecompress.core import tools

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "device_runtime" / "src"
FILES = ("sha2", "sha256", "sha512", "field25519", "ed25519")
FLAGS = ("-std=c11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
GOOD = 40
"""Good signatures, each with about 36 damaged ones."""
MIXED = 60
HASHED = 400

ABC = hashlib.sha512(b"abc").hexdigest()
# RFC 8032, 7.1, but for the one of 1023 bytes: key, message, signature.
RFC_8032 = (
    """d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a -
    e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
    5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b""",
    """3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c 72
    92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00""",
    """fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025 af82
    6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
    18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a""",
    f"""ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf {ABC}
    dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589
    09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704""",
)
# FIPS 180-4's examples, and the million of a's that NIST gives with them, cut to what the program takes.
NIST = (b"", b"abc", b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", b"a" * 65536)


@pytest.fixture(scope="module", params=["", "-DEDGERT_FIELD_HALVES"], ids=["words", "halves"])
def program(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Also with products of halves, as on Thumb-1."""
    path = tmp_path_factory.mktemp("ed25519") / "program"
    includes = [f"-I{SOURCES}", f"-I{SOURCES / 'slots'}"]
    sources = [HERE / "ed25519_program.c", *(SOURCES / "slots" / f"{name}.c" for name in FILES)]
    tools.run(["gcc", *FLAGS, *filter(None, [request.param]), *includes, *sources, "-o", path], timeout_s=60)
    return path


def verdicts(program: Path, cases: Sequence[Case]) -> list[bool]:
    told = tools.run([program], timeout_s=300, stdin=b"".join(case.packed() for case in cases))
    assert len(told) == len(cases)
    return [verdict == ord("1") for verdict in told]


def compare(program: Path, cases: Sequence[Case]) -> int:
    """Hold the device's verdicts against the judge's; return how many are good."""
    expected = [ed25519_cases.is_good(case) for case in cases]
    assert verdicts(program, cases) == expected
    return sum(expected)


def test_the_vectors_of_the_rfc_hold(program: Path) -> None:
    cases = []
    for text in RFC_8032:
        key, message, *signature = text.split()
        words = (key, "".join(signature), message.strip("-"))
        cases.append(Case(**dict(zip(("key", "signature", "message"), map(bytes.fromhex, words), strict=True))))
    assert verdicts(program, cases) == [True] * len(RFC_8032)


def test_signatures_and_forgeries_are_judged_as_by_openssl(program: Path) -> None:
    source = random.Random(8032)
    good = [ed25519_cases.signed(source, source.randbytes(source.randrange(300))) for _ in range(GOOD)]
    cases = [case for one in good for case in (one, *ed25519_cases.damaged(one, source))]
    assert compare(program, cases) == len(good)


def test_no_key_of_small_order_and_no_other_way_of_writing_a_point_is_taken(program: Path) -> None:
    assert compare(program, ed25519_cases.by_keys_of_small_order()) == 0


def test_points_with_a_part_of_small_order_are_judged_as_by_openssl(program: Path) -> None:
    source = random.Random(25519)
    assert 0 < compare(program, [ed25519_cases.of_mixed_order(source) for _ in range(MIXED)]) < MIXED


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_hashes_are_those_of_hashlib(program: Path, name: str) -> None:
    source = random.Random(180)
    messages = [*NIST, *(source.randbytes(n) for n in range(HASHED))]
    data = b"".join(struct.pack("<I", len(message)) + message for message in messages)
    expected = b"".join(hashlib.new(name, message).digest() for message in messages)
    assert tools.run([program, name], timeout_s=60, stdin=data) == expected
