"""Deploy in processes that may be killed: `python deploy_child.py ENDPOINT BUNDLE`, the endpoint as JSON.

Imports everything once, then forks for each line on stdin: the child deploys the bundle. Writes the child's pid, and
how it ended (its exit code, or the signal's number below zero) when it has.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from edgecompress.core import bundle as bundles
from edgecompress.core import target as targets
from edgecompress.core.device import Device
from edgecompress.core.errors import EdgecompressError
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy.ssh import SshLink


def endpoint_as_json(endpoint: Endpoint) -> str:
    """Write an endpoint without a jump host."""
    return json.dumps(vars(endpoint), default=str)


def main(values: dict[str, Any], folder: Path) -> None:
    for name in ("identities", "known_hosts"):
        values[name] = tuple(map(Path, values[name]))
    endpoint, bundle, target = Endpoint(**values), bundles.load(folder), targets.load("host")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_deploy(Device(SshLink(target, endpoint), target), bundle))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _deploy(device: Device, bundle: bundles.Bundle) -> int:
    try:
        with device:
            device.install(bundle)
    except EdgecompressError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
