"""What one part of a campaign found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Cases that were tried, and how many of them broke what was promised."""

    name: str
    cases: int
    violations: int
    detail: str
