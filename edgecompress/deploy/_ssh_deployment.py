"""One program on its way to one board, over however many connections that takes."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable

from edgecompress.core.board import Board
from edgecompress.core.errors import StorageError, UnreachableError
from edgecompress.core.values import Progress
from edgecompress.deploy._ssh_connection import LostConnectionError
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy._ssh_lock import Holder, Lock
from edgecompress.deploy._ssh_models import ModelFolder, Program, folder_name
from edgecompress.deploy._ssh_site import Site

logger = logging.getLogger(__name__)

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Before each attempt to connect again after a connection was lost."""

Check = Callable[[Board, str], None]
"""Looks at a board and the folder to deploy to, and raises when the program must not go there."""


class Deployment:
    """Places a program, and later takes it into use or removes it. The lock is held in between."""

    def __init__(self, endpoint: Endpoint, program: Program, model: str, check: Check) -> None:
        self._endpoint = endpoint
        self._program = program
        self._model = model
        self._check = check
        self._holder = Holder.this_process()
        self._site: Site | None = None
        self._folder: ModelFolder | None = None
        self._lock: Lock | None = None

    def place(self, progress: Progress) -> tuple[Site, bytes]:
        """Connect, check the board and upload; return the open site and the program's path there.

        A lost connection is made anew as long as that gets the upload on.
        """
        pauses = iter(PAUSES_S)
        furthest = -1
        lost: LostConnectionError | None = None

        def follow(what: str, done: int, total: int) -> None:
            nonlocal pauses, furthest
            if done > furthest:
                pauses, furthest = iter(PAUSES_S), done
            progress(what, done, total)

        while True:
            try:
                return self._place_once(follow)
            except UnreachableError as error:
                lost = error if isinstance(error, LostConnectionError) else lost
                pause_s = next(pauses, None)
                if lost is None:
                    raise
                if pause_s is None:
                    raise _gave_up(lost, error) from error
            logger.warning("%s; trying again in %g s", lost.message, pause_s)
            self._leave()
            time.sleep(pause_s)

    def accept(self) -> None:
        """Take the program into use, and let others deploy. Raises UnreachableError when the lock was taken away."""
        if self._folder is not None and self._lock is not None:
            self._lock.check()
            self._folder.accept(self._program)
            self._lock.release()

    def close(self) -> None:
        """Remove what was not accepted, and disconnect. What a lost connection left behind stays, to be continued."""
        with contextlib.suppress(UnreachableError, StorageError):
            if self._folder is not None and self._lock is not None and self._lock.is_held():
                self._folder.drop(self._program)
                self._lock.release()
        self._holder.retire()
        self._leave()

    def _place_once(self, progress: Progress) -> tuple[Site, bytes]:
        self._site = site = Site.open(self._endpoint)
        self._check(site.board, os.fsdecode(site.folder))
        folder = ModelFolder(site, folder_name(self._model))
        folder.make()
        lock = Lock(site.files, folder.lock_path, self._holder)
        lock.take()
        self._folder, self._lock = folder, lock
        return site, folder.place(self._program, progress)

    def _leave(self) -> None:
        if self._site is not None:
            self._site.close()
        self._site = self._folder = self._lock = None


def _gave_up(lost: LostConnectionError, last: UnreachableError) -> LostConnectionError:
    """Say both why the upload stopped and why it could not go on."""
    if last is lost:
        return lost
    return LostConnectionError(f"{lost.message}, and then {last.message}", hint=lost.hint)
