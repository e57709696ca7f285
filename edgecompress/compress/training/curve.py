"""What a training did, epoch by epoch, and how a report draws it."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.core.values import Finding, Series


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the samples. `accuracy` is that of the held-out samples, from 0 to 1; None without labels."""

    learning_rate: float
    training_loss: float
    held_out_loss: float | None
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A whole training. `best` is the number of the epoch whose weights were kept, counted from 1; 0 for no epoch."""

    name: str
    epochs: tuple[Epoch, ...] = ()
    best: int = 0

    def findings(self) -> tuple[Finding, ...]:
        """The plots: both losses and, with labels, the accuracy on the held-out samples."""
        losses = [("training", [epoch.training_loss for epoch in self.epochs])]
        held_out = [epoch.held_out_loss for epoch in self.epochs if epoch.held_out_loss is not None]
        losses += [("held out", held_out)] if held_out else []
        accuracies = [epoch.accuracy for epoch in self.epochs if epoch.accuracy is not None]
        plots = [self._plot(f"Training: {self.name}", "loss", losses)]
        if accuracies:
            plots.append(self._plot(f"Training: {self.name}, accuracy", "accuracy", [("held out", accuracies)]))
        return tuple(plots)

    def _plot(self, title: str, y_label: str, lines: list[tuple[str, list[float]]]) -> Finding:
        numbers = tuple(float(number) for number in range(1, len(self.epochs) + 1))
        return Finding(
            title=title,
            kind="lines",
            x_label="epoch",
            y_label=y_label,
            series=tuple(Series(name=name, x=numbers, y=tuple(values)) for name, values in lines),
            note=f"The weights of epoch {self.best} were kept.",
        )
