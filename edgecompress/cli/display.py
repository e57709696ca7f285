"""What a person sees on the terminal: progress on stderr, tables on stdout."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

STAGE_LABELS = {
    "compress": "Compress",
    "steps": "Measure each step",
    "tune": "Tune",
    "compile": "Compile",
    "flash": "Flash and verify",
    "deploy": "Deploy and verify",
    "profile": "Measure",
    "report": "Report",
}


class Display:
    """Shows a run's stages: live bars on a terminal, one line a stage elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        columns = (
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self.bars = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task: TaskID | None = None
        self.stage = ""

    def __enter__(self) -> Display:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def stage_started(self, stage: str) -> None:
        """Begin a bar."""
        self.stage = STAGE_LABELS.get(stage, stage)
        self._drop()
        self.task = self.bars.add_task(self.stage, total=None)

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar of the stage that runs."""
        if self.task is not None:
            self.bars.update(self.task, description=f"{self.stage}: {what}", completed=done, total=total or None)

    def stage_done(self, stage: str, seconds: float, *, reused: bool) -> None:
        """Leave one line behind."""
        self._drop()
        label = STAGE_LABELS.get(stage, stage)
        self.console.print(f"[green]✓[/] {label:<18} " + ("up to date" if reused else f"{seconds:6.1f} s"))

    def _drop(self) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
