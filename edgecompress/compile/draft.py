"""A bundle that is being made: its folder, and the runtime's objects, begun before anything is known of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecompress.compile import link
from edgecompress.compile.objects import Objects
from edgecompress.core import compilers, files
from edgecompress.core.errors import MissingToolError
from edgecompress.core.slot_key import PublicKey
from edgecompress.core.target import Target
from edgecompress.core.workers import Workers


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The folder under its temporary name, and the one that it will have; what compiles in it, and for which target.

    With a `slot_key` the firmware gets slots, for images that this key signed.
    """

    folder: Path
    final: Path
    target: Target
    objects: Objects
    workers: Workers
    slot_key: PublicKey | None = None

    @property
    def runtime(self) -> link.Runtime:
        """What of device_runtime the device's program is built from."""
        return link.find_runtime(self.target.port, slots=self.slot_key is not None)


@contextlib.contextmanager
def begin(target: Target, folder: Path, slot_key: PublicKey | None = None) -> Iterator[Draft]:
    """Make a draft of a bundle, which takes its name when all went well, and compile the runtime in it meanwhile.

    Raises StorageError as core.files does.
    """
    with files.whole_folder(folder) as draft_folder, Workers() as workers:
        draft = Draft(
            folder=draft_folder,
            final=folder,
            target=target,
            objects=Objects(draft_folder, workers),
            workers=workers,
            slot_key=slot_key,
        )
        _begin_runtime(draft)
        yield draft


def _begin_runtime(draft: Draft) -> None:
    objects, target = draft.objects, draft.target
    libraries = [link.find_runtime(link.LIBRARY_PORT)] if target.system == "linux" else []
    reference = link.find_runtime(link.REFERENCE_PORT)
    for runtime in (draft.runtime, *libraries, reference):
        link.copy_runtime(runtime, objects.folder)
    link.start_runtime(objects, link.reference_variant(link.reference_flags(target)), reference)
    # Who lacks the compiler shall first hear of a network that cannot be compiled or does not fit.
    with contextlib.suppress(MissingToolError):
        compiler = compilers.choose(target)
        for runtime in (draft.runtime, *libraries):
            link.start_runtime(objects, link.device_variant(target, compiler), runtime)
