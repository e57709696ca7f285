"""`python -m benchmarks.networks FOLDER`: write the networks as ONNX files."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.networks.export import NAMES, write


def main() -> None:
    """Write the networks that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks",
        description=__doc__,
        epilog="example: python -m benchmarks.networks runs/networks --only resnet18",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=NAMES, nargs="+", default=NAMES, help="default: all")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        print(write(name, asked.folder))


if __name__ == "__main__":
    main()
