"""Start a campaign by its name: `python -m benchmarks.campaign flash --short`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Run the campaign that the first word names; return its exit code."""
    modules = Path(__file__).parent.glob("*.py")
    names = sorted(path.stem for path in modules if not path.stem.startswith("_"))
    if not words or words[0] not in names:
        print(f"usage: python -m benchmarks.campaign {'|'.join(names)} [--short] [--json] [--check]", file=sys.stderr)
        return 2
    code: int = importlib.import_module(f"benchmarks.campaign.{words[0]}").main(words[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
