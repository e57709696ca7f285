"""Networks in the slots of a firmware that runs: installed over its line, and taken back (docs/slots.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.core.errors import ConfigError, UsageError
from edgecompress.core.run_folder import Deployment, Run
from edgecompress.pipeline import DeviceChoice, connect

if TYPE_CHECKING:
    from edgecompress.core.slot_info import Slot
    from edgecompress.core.target import Target


def deploy(run: Run, choice: DeviceChoice, key_path: Path, ask: Callable[[], str]) -> Deployment:
    """Install the bundle's network into a slot and prove that it runs there. Writes RUN/deployment.json.

    `ask` is called when the key has a passphrase. A deployment that is on record is looked at again: a board may have
    gone back to another model since.
    """
    from edgecompress.deploy import _signing_key, _slot_update

    bundle = run.bundle()
    _refuse_linux(run.target)
    if bundle.manifest.slots is None:
        raise ConfigError(
            f"the bundle of {run.folder} holds no images for slots",
            hint=f"edgecompress compile {run.folder} -t {run.target.name} --slot-key {key_path}.pub",
        )
    bundle.check_whole()
    key = _signing_key.load(key_path, ask)
    signer = _slot_update.Signer(public=key.public, sign=key.sign)
    inputs = {"bundle": run.key("compile"), "device": [choice.address, *choice.emulator_args], "slot": True}
    with run.stage("deploy", inputs, "deployment.json", intact=lambda: False) as stage_key:
        if stage_key is not None:
            with connect(run.target, choice) as device:
                device.join(run.observer.progress)
                done = _slot_update.install(device, bundle, signer, run.observer.progress)
                deployment = Deployment(
                    device=device.description,
                    emulated=device.emulated,
                    target=bundle.manifest.target,
                    build_id=bundle.manifest.build_id,
                    verified_vectors=bundle.manifest.vectors.count,
                    slot=done.slot or "firmware",
                    sequence=done.sequence,
                )
            run.write("deployment.json", deployment)
    return run.read("deployment.json", Deployment, by="deploy")


def roll_back(address: str, chosen: Target) -> tuple[str, Slot | None]:
    """Make the network before the one that runs serve again.

    Returns the name of the slot that ran, and the slot that runs now; None for the firmware's own network.
    """
    from edgecompress.deploy import _slot_update

    _refuse_linux(chosen)
    with connect(chosen, DeviceChoice(address=address)) as device:
        device.join()
        return _slot_update.revert(device)


def _refuse_linux(chosen: Target) -> None:
    if chosen.system == "linux":
        raise UsageError(
            f"{chosen.name} is a Linux system: it has no slots",
            hint="a deployment keeps three versions there, and `edgecompress devices rollback` goes back by one",
        )
