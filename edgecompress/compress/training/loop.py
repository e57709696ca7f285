"""The training loop: batches, epochs, the best weights, checkpoints. See the package for what it promises."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from edgecompress.compress.training import AfterStep, checkpoint, memory, schedules
from edgecompress.compress.training.curve import Curve, Epoch
from edgecompress.compress.training.losses import FidelityLoss, LabelsLoss, Loss
from edgecompress.compress.training.options import LoopOptions, TrainingOptions
from edgecompress.compress.training.outputs import as_tuple, before_softmax
from edgecompress.compress.training.samples import FEWEST, Batch, TrainingSamples, hold_out, read
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Model

MOMENTUM = 0.9
"""Of SGD, with Nesterov's look ahead."""
SMALL_BATCH_BYTES = 8 * 2**20
"""Batches that keep less for their gradients are trained on one thread of the CPU: a second one gains a tenth to a
third on an idle machine, where another program runs both wait for each other (seven times the time was measured)."""
SEEDS_APART = 1_000_003
"""Epochs of neighbouring seeds draw different numbers."""


def run(
    module: nn.Module,
    context: Context,
    options: LoopOptions,
    *,
    name: str,
    given: Model | None,
    loss: Loss | None,
    after_step: AfterStep | None,
    best_from: float,
) -> Curve:
    """Do what `training.train` says."""
    if not options.epochs:
        module.eval()
        return Curve(name=name)
    device = device_of(options, context)
    samples = read(context, name, device)
    loss = loss or named_loss(options, given)
    check_labels(loss, samples, f"{context.where}: training {name}")
    with _reproducible(device), before_softmax(module):
        training = _Training(module, loss, samples, options, context, name, best_from)
        with _one_thread() if training.batch_bytes < SMALL_BATCH_BYTES else contextlib.nullcontext():
            curve = training.run(after_step)
    for finding in curve.findings():
        context.record(finding)
    return curve


def named_loss(options: LoopOptions, given: Model | None) -> Loss:
    """The loss that the options name; `given` is the network that `loss = "fidelity"` imitates."""
    if not isinstance(options, TrainingOptions):
        raise TypeError("these options name no loss: give one")
    if options.loss == "labels":
        return LabelsLoss()
    if given is None:
        raise ValueError('loss = "fidelity" needs the network to imitate')
    from edgecompress.compress import torch_graph

    return FidelityLoss(torch_graph.to_torch(given))


def check_labels(loss: Loss, samples: TrainingSamples, where: str) -> None:
    """Raise ConfigError when the loss needs labels and there are none."""
    if loss.needs_labels and samples.labels is None:
        raise ConfigError(
            f"{where} needs labels, and the data has none",
            hint='name them with `labels` in [data], or set loss = "fidelity" where the step has it',
        )


def device_of(options: LoopOptions, context: Context) -> torch.device:
    """Where to train. Raises ConfigError when a GPU is asked for and there is none."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f'{context.where}: device = "cuda", and torch {torch.__version__} finds no GPU',
            hint='device = "auto" takes the CPU where there is no GPU',
        )
    use_gpu = options.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


@contextlib.contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Leave the caller's random numbers alone, and ask a GPU for algorithms that give the same bits each time."""
    gpus = [device] if device.type == "cuda" else []
    before = torch.are_deterministic_algorithms_enabled()
    if gpus:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Training:
    """One training and its state: that of a checkpoint and what follows from it."""

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        samples: TrainingSamples,
        options: LoopOptions,
        context: Context,
        name: str,
        best_from: float,
    ) -> None:
        self.module, self.loss, self.samples, self.options, self.context = module, loss, samples, options, context
        self.name = name
        self.file = checkpoint.path(context.scratch, name) if context.scratch is not None else None
        self.fingerprint = checkpoint.fingerprint(module, loss, samples, options, best_from) if self.file else ""
        self.training, self.held_out = hold_out(samples, options.held_out, options.seed)
        self.batch_size = min(options.batch_size, len(self.training))
        self.steps = len(self._epoch_batches(self.training))
        self.first_best = max(1, math.ceil(best_from * options.epochs))
        self.epochs: list[Epoch] = []
        self.best = 0
        self.best_weights: dict[str, Any] = {}
        self.batch_bytes = 0
        self._prepare()
        self.optimizer = _optimizer(options, [*module.parameters(), *loss.parameters()], self._where())

    def run(self, after_step: AfterStep | None) -> Curve:
        """Train all epochs that are still to be trained, and restore the best one's weights."""
        self._resume()
        while len(self.epochs) < self.options.epochs and not self._is_patience_over():
            self.epochs.append(self._epoch(len(self.epochs) + 1, after_step))
            self._keep_if_best()
            self._save()
        self._check_weights()
        self.module.load_state_dict(self.best_weights)
        self.module.to("cpu").eval()
        return Curve(name=self.name, epochs=tuple(self.epochs), best=self.best)

    def _prepare(self) -> None:
        """Bring everything to the device, and refuse before the first batch what cannot work."""
        self.module.to(self.samples.device).train()
        self.loss.to(self.samples.device)
        few = self.samples.batch(self.training[:FEWEST])
        with self._out_of_memory_is_said():
            self.batch_bytes = memory.check_batch(self.module, few.inputs, self.batch_size, training=self._where())
            with torch.no_grad():
                self.module.eval()
                outputs = as_tuple(self.module(*few.inputs))
            torch.manual_seed(self.options.seed)
            self.loss.prepare(self.samples, outputs, self._where())
        self.loss.to(self.samples.device).train()

    def _epoch(self, number: int, after_step: AfterStep | None) -> Epoch:
        """Train once over all samples. What is random depends on the seed and the epoch's number only."""
        torch.manual_seed(self.options.seed * SEEDS_APART + number)
        self.module.train()
        order = self.training[torch.randperm(len(self.training))]
        parts = self._epoch_batches(order)
        total = self.steps * self.options.epochs
        done = self.steps * (number - 1)
        losses = []
        for position, part in enumerate(parts, start=1):
            rate = self.options.learning_rate * schedules.factor(self.options.schedule, done, total)
            with self._out_of_memory_is_said():
                batch = self.loss.vary(self.samples.batch(part))
                losses.append(self._step(batch, rate, f"epoch {number}, batch {position}"))
            done += 1
            if after_step is not None:
                after_step(done, total)
            self.context.progress(f"train {self.name}, loss {losses[-1]:.3g}", done, total)
        held_out_loss, accuracy = self._judge(f"epoch {number}, held-out samples")
        return Epoch(
            learning_rate=rate,
            training_loss=math.fsum(losses) / len(losses),
            held_out_loss=held_out_loss,
            accuracy=accuracy,
        )

    def _epoch_batches(self, order: Tensor) -> list[Tensor]:
        """Cut the order into batches; a last one that is too small for a batch norm is left out of this epoch."""
        parts = list(torch.split(order, self.batch_size))
        return parts[:-1] if len(parts) > 1 and len(parts[-1]) < FEWEST else parts

    def _step(self, batch: Batch, rate: float, moment: str) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss_of(batch)
        value = float(loss.detach())
        self._check_finite(value, moment)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return value

    def _loss_of(self, batch: Batch) -> Tensor:
        loss: Tensor = self.loss(self._outputs_of(batch), batch)
        return loss

    def _outputs_of(self, batch: Batch) -> tuple[Tensor, ...]:
        with torch.autocast(self.samples.device.type, dtype=torch.bfloat16, enabled=self.options.mixed_precision):
            return as_tuple(self.module(*batch.inputs))

    def _judge(self, moment: str) -> tuple[float | None, float | None]:
        """Return the loss on the held-out samples and, with labels, how many of them the first output tells right."""
        if not len(self.held_out):
            return None, None
        self.module.eval()
        total, right = 0.0, 0
        with torch.no_grad(), self._out_of_memory_is_said():
            for batch in self.samples.batches(self.held_out, self.batch_size):
                outputs = self._outputs_of(batch)
                value: Tensor = self.loss(outputs, batch)
                total += float(value) * len(batch.indices)
                right += _count_right(outputs[0], batch.labels)
        self._check_finite(total, moment)
        count = len(self.held_out)
        return total / count, right / count if self.samples.labels is not None and outputs[0].ndim == 2 else None

    def _check_finite(self, value: float, moment: str) -> None:
        if not math.isfinite(value):
            raise ConfigError(
                f"{self._where()}: the loss is {value} in {moment}",
                hint=f"lower learning_rate (it is {self.options.learning_rate:g})",
            )

    def _check_weights(self) -> None:
        """Catch what the very last step broke: no loss is computed after it when nothing is held out."""
        if all(value.isfinite().all() for value in self.best_weights.values() if value.is_floating_point()):
            return
        raise ConfigError(
            f"{self._where()}: weights are NaN or infinite after epoch {self.best}",
            hint=f"lower learning_rate (it is {self.options.learning_rate:g})",
        )

    def _keep_if_best(self) -> None:
        """Keep the weights of the epoch with the least held-out loss; of the last one when none is held out."""
        now = len(self.epochs)
        if self.best and now > self.first_best and not self._is_better(self.epochs[-1], self.epochs[self.best - 1]):
            return
        self.best = now
        self.best_weights = {key: value.detach().clone() for key, value in self.module.state_dict().items()}

    @staticmethod
    def _is_better(now: Epoch, best: Epoch) -> bool:
        if now.held_out_loss is None or best.held_out_loss is None:
            return True
        return now.held_out_loss < best.held_out_loss

    def _is_patience_over(self) -> bool:
        worse = len(self.epochs) - max(self.best, self.first_best)
        return 0 < self.options.patience <= worse

    def _save(self) -> None:
        if self.file is None:
            return
        content = {
            "fingerprint": self.fingerprint,
            "module": self.module.state_dict(),
            "loss": {name: value for name, value in self.loss.named_parameters() if value.requires_grad},
            "optimizer": self.optimizer.state_dict(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best": self.best,
            "best_weights": self.best_weights,
        }
        checkpoint.save(self.file, content)

    def _resume(self) -> None:
        """Take up the state that an earlier start of the same training left."""
        found = checkpoint.load(self.file, self.fingerprint) if self.file is not None else None
        if found is None:
            return
        self.module.load_state_dict(found["module"])
        self.loss.load_state_dict(found["loss"], strict=False)
        self.optimizer.load_state_dict(found["optimizer"])
        self.epochs = [Epoch(**epoch) for epoch in found["epochs"]]
        self.best, self.best_weights = found["best"], found["best_weights"]

    def _where(self) -> str:
        return f"{self.context.where}: training {self.name}"

    @contextlib.contextmanager
    def _out_of_memory_is_said(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            said = memory.out_of_memory(error)
            if said is None:
                raise
            raise ConfigError(
                f"{self._where()}: a batch of {self.batch_size:,} does not fit in memory: {said}",
                hint="set a smaller batch_size",
            ) from error


def _count_right(output: Tensor, labels: Tensor | None) -> int:
    if labels is None or output.ndim != 2:
        return 0
    return int(torch.eq(output.argmax(dim=1), labels).sum())


def _optimizer(options: LoopOptions, parameters: list[nn.Parameter], where: str) -> torch.optim.Optimizer:
    """Return the optimizer with weight decay for what has more than one dimension: neither biases nor batch norms."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise ConfigError(f"{where}: nothing in the network can be trained", hint="take the step out of the recipe")
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=MOMENTUM, nesterov=True)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=options.learning_rate)
