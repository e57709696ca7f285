from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future

import pytest

from edgecompress.core import tools
from edgecompress.core.errors import ToolFailedError
from edgecompress.core.tools import Running
from edgecompress.core.workers import Workers


def sleep(running: Running, seconds: str) -> bytes:
    return tools.run(["sleep", seconds], timeout_s=20, among=running)


def give_up_while_programs_run() -> list[Future[bytes]]:
    jobs: list[Future[bytes]] = []
    with contextlib.suppress(KeyboardInterrupt), Workers() as workers:
        jobs += [workers.start(sleep, "20") for _ in range(3 * workers.count)]
        time.sleep(0.05)
        raise KeyboardInterrupt
    return jobs


def test_a_job_s_result_and_its_error_come_out_of_its_future() -> None:
    with Workers() as workers:
        said = workers.start(lambda running: tools.run(["echo", "well"], timeout_s=5, among=running))
        failed = workers.start(lambda running: tools.run(["false"], timeout_s=5, among=running))

        assert said.result() == b"well\n"
        with pytest.raises(ToolFailedError, match=r"^false failed with exit code 1:$"):
            failed.result()


def test_programs_end_and_jobs_that_wait_are_dropped_when_the_work_is_given_up() -> None:
    started = time.monotonic()

    jobs = give_up_while_programs_run()

    assert time.monotonic() - started < 10
    assert all(job.cancelled() or isinstance(job.exception(), ToolFailedError) for job in jobs)


def test_a_program_that_is_started_after_the_end_is_ended_at_once() -> None:
    running = Running()
    running.end()

    with pytest.raises(ToolFailedError, match=r"^sleep was ended by SIGKILL:$"):
        sleep(running, "20")
