"""Canonical Huffman codes (Huffman 1952; Schwartz and Kallick 1964): numbers to bytes and back.

A stream holds the size of the alphabet and the length of each symbol's code in four bits, then the codes. Canonical
means that the lengths say all: codes of one length follow each other in the order of their symbols.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.errors import ModelError

LONGEST = 15
"""Bits of a code: its length is kept in four bits."""
HEAD = struct.Struct("<HI")
"""The size of the alphabet, and how many symbols follow."""

Symbols = NDArray[np.int64]


def encode(symbols: Symbols) -> bytes:
    """Write whole numbers from 0 up. Where only one occurs, its code has no bits."""
    counts = np.bincount(symbols) if symbols.size else np.zeros(1, np.int64)
    lengths = code_lengths(counts.tolist())
    codes = canonical_codes(lengths)
    widths = np.array(lengths)[symbols]
    values = np.array(codes)[symbols]
    return HEAD.pack(len(lengths), symbols.size) + _nibbles(lengths) + _bits(values, widths)


def decode(stream: bytes) -> tuple[Symbols, int]:
    """Read one stream: its symbols, and how many bytes it took. Raises ModelError for a broken one."""
    alphabet, count = HEAD.unpack_from(stream) if len(stream) >= HEAD.size else (0, 0)
    start = HEAD.size + -(-alphabet // 2)
    if len(stream) < start or not alphabet:
        raise ModelError(f"a coded tensor begins with {len(stream):,} bytes that hold no code")
    lengths = [stream[HEAD.size + i // 2] >> 4 * (i % 2) & 15 for i in range(alphabet)]
    used = [symbol for symbol, length in enumerate(lengths) if length]
    if not used:
        only = alphabet - 1
        return np.full(count, only, np.int64), start
    codes = zip(lengths, canonical_codes(lengths), strict=True)
    symbols_of = {key: symbol for symbol, key in enumerate(codes) if key[0]}
    bits = np.unpackbits(np.frombuffer(stream, np.uint8, offset=start)).tolist()
    found, at = np.zeros(count, np.int64), 0
    for i in range(count):
        code, length = 0, 0
        while (length, code) not in symbols_of:
            if at >= len(bits) or length > LONGEST:
                raise ModelError(f"a coded tensor ends after {i:,} of {count:,} symbols")
            code, length, at = code << 1 | bits[at], length + 1, at + 1
        found[i] = symbols_of[length, code]
    return found, start + -(-at // 8)


def code_lengths(counts: Sequence[int]) -> list[int]:
    """Find the length of each symbol's code; 0 for symbols that do not occur, and for one that occurs alone.

    Codes that would be longer than four bits can say are shortened by making the counts more equal.
    """
    weights = list(counts)
    while True:
        lengths = _huffman(weights)
        if max(lengths) <= LONGEST:
            return lengths
        weights = [count and count // 2 + 1 for count in weights]


def canonical_codes(lengths: Sequence[int]) -> list[int]:
    """Number the codes: shorter ones first, then by symbol."""
    codes, code, last = [0] * len(lengths), 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - last
        codes[symbol], last = code, length
        code += 1
    return codes


def _huffman(counts: Sequence[int]) -> list[int]:
    heap: list[tuple[int, int, tuple[int, ...]]] = [(count, i, (i,)) for i, count in enumerate(counts) if count]
    lengths = [0] * len(counts)
    heapq.heapify(heap)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        together = (*first[2], *second[2])
        for symbol in together:
            lengths[symbol] += 1
        heapq.heappush(heap, (first[0] + second[0], min(first[1], second[1]), together))
    return lengths


def _nibbles(lengths: Sequence[int]) -> bytes:
    padded = [*lengths, 0] if len(lengths) % 2 else list(lengths)
    return bytes(low | high << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))


def _bits(values: Symbols, widths: Symbols) -> bytes:
    """Join codes of different widths, the first bit first."""
    total = int(widths.sum())
    places = np.repeat(np.cumsum(widths) - widths, widths)
    within = np.arange(total) - places
    bits = np.repeat(values, widths) >> (np.repeat(widths, widths) - 1 - within) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()
