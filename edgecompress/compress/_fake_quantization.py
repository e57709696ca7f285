"""Modules that round as the quantized network will, and let gradients pass: for quantization-aware training.

A fake quantizer gives (q - z) * s with q = clip(round(x / s) + z), exactly what QuantizeLinear and DequantizeLinear
compute. The gradient takes the rounding for the identity (Bengio et al. 2013, the straight-through estimator).

Learned step sizes: the gradient of LSQ (Esser et al. 2020, eq. 3 and section 2.2), taken with respect to the step's
logarithm as in TQT (Jain et al. 2020, section 3.2), so that a step stays above 0 and moves by parts of itself.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST_STEP = 1e-8
MOMENTUM = 0.05
"""Of the observed extremes of an activation, from batch to batch (Jacob et al. 2018, section 3.1)."""
CONTAINER_BITS, CONTAINER_LOWEST, CONTAINER_HIGHEST = 8, -128, 127
"""int8, in which integers of fewer bits lie too: activations from its lower end on."""


class LearnedSteps(nn.Module):
    """Quantize to the integers `lowest` to `highest` with steps that are trained: one, or one for each channel."""

    zero_point: Tensor

    def __init__(self, step: Tensor, zero_point: int, lowest: int, highest: int) -> None:
        super().__init__()
        self.log_step = nn.Parameter(step.clamp_min(SMALLEST_STEP).log())
        self.register_buffer("zero_point", torch.tensor(float(zero_point)))
        self.lowest, self.highest = lowest, highest

    @property
    def step(self) -> Tensor:
        """The step as it is now, of shape () or (channels,)."""
        return self.log_step.exp()

    def forward(self, x: Tensor, observe: bool = True) -> Tensor:
        """Quantize an activation, or weights whose channels lie along the first axis."""
        del observe
        factor = 1 / math.sqrt(x.numel() / max(self.log_step.numel(), 1) * max(self.highest, 1))
        log_step: Tensor = _ScaledGradient.apply(self.log_step, factor)  # type: ignore[no-untyped-call]
        step = _along_first(log_step.exp(), x)
        return _quantized(x, step, self.zero_point, self.lowest, self.highest)


class ObservedSteps(nn.Module):
    """Quantize an activation to so many bits between the extremes that were observed, averaged over the batches."""

    low: Tensor
    high: Tensor

    def __init__(self, low: float, high: float, lowest: int, highest: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("high", torch.tensor(high))
        self.lowest, self.highest = lowest, highest

    @property
    def step(self) -> Tensor:
        """The step as it is now, of shape ()."""
        return ((self.high - self.low) / (self.highest - self.lowest)).clamp_min(SMALLEST_STEP)

    @property
    def zero_point(self) -> Tensor:
        """The integer that stands for 0, of shape ()."""
        return (self.lowest - self.low / self.step).round().clamp(self.lowest, self.highest)

    def forward(self, x: Tensor, observe: bool = True) -> Tensor:
        """Quantize an activation; `observe` says that it tells its range while training."""
        if self.training and observe:
            with torch.no_grad():
                self.low.lerp_(x.amin().clamp_max(0), MOMENTUM)
                self.high.lerp_(x.amax().clamp_min(0), MOMENTUM)
        return _quantized(x, self.step, self.zero_point, self.lowest, self.highest)


class LargestSteps(nn.Module):
    """Quantize weights symmetrically, each channel by its largest magnitude as it is now."""

    def __init__(self, highest: int) -> None:
        super().__init__()
        self.highest = highest

    def steps_of(self, weight: Tensor) -> Tensor:
        """Give the step of every channel, (channels,)."""
        return (weight.detach().abs().flatten(1).amax(1) / self.highest).clamp_min(SMALLEST_STEP)

    def forward(self, weight: Tensor) -> Tensor:
        """Quantize weights whose channels lie along the first axis."""
        step = _along_first(self.steps_of(weight), weight)
        return _quantized(weight, step, torch.zeros((), device=weight.device), -self.highest, self.highest)


class QuantizedLayer(nn.Module):
    """A convolution or linear layer that computes with quantized weights and, behind a fake quantizer, biases.

    With a batch normalization the weights are folded before they are quantized, as they will be on the device: with the
    batch's statistics while training, until they are frozen, and with the running ones from then on (Jacob et al. 2018,
    section 3.2; Krishnamoorthi 2018, section 3.2.2).
    """

    frozen: Tensor

    def __init__(self, layer: Any, quantizer: LearnedSteps | LargestSteps, norm: Any = None) -> None:
        super().__init__()
        self.layer, self.quantizer, self.norm = layer, quantizer, norm
        self.source: LearnedSteps | ObservedSteps | None = None
        self.register_buffer("frozen", torch.tensor(norm is None))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer."""
        statistics = self._observed(x) if self.training and not self.frozen else None
        weight, bias = folded(self.layer, self.norm, statistics)
        return self._computed(x, self.quantizer(weight), self._rounded(bias, weight))

    def steps(self) -> Tensor:
        """The steps of the weights as they are now, (channels,)."""
        return self._steps_of(folded(self.layer, self.norm)[0])

    def plain(self) -> nn.Module:
        """Give the layer with its weights quantized once and for all."""
        with torch.no_grad():
            weight, bias = folded(self.layer, self.norm)
            layer = copy.deepcopy(self.layer)
            layer.weight = nn.Parameter(self.quantizer(weight))
            layer.bias = None if bias is None else nn.Parameter(bias.clone())
        result: nn.Module = layer
        return result

    def _steps_of(self, weight: Tensor) -> Tensor:
        return self.quantizer.steps_of(weight) if isinstance(self.quantizer, LargestSteps) else self.quantizer.step

    def _rounded(self, bias: Tensor | None, weight: Tensor) -> Tensor | None:
        """Round the bias to int32 steps, those of the input times those of the weights: coarse for few bits."""
        if bias is None or self.source is None:
            return bias
        step = (self.source.step * self._steps_of(weight)).detach()
        integers: Tensor = _Round.apply(bias / step)  # type: ignore[no-untyped-call]
        return integers * step

    def _observed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and variance of the channels in this batch, and let the running ones follow."""
        made = self._computed(x, self.layer.weight, self.layer.bias).transpose(0, 1).flatten(1)
        mean, variance = made.mean(1), made.var(1, unbiased=False)
        with torch.no_grad():
            self.norm.running_mean.lerp_(mean, self.norm.momentum)
            self.norm.running_var.lerp_(variance * made.shape[1] / max(made.shape[1] - 1, 1), self.norm.momentum)
        return mean, variance

    def _computed(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return functional.linear(x, weight, bias)
        convolve = functional.conv2d if isinstance(layer, nn.Conv2d) else functional.conv1d
        made: Tensor = convolve(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
        return made


def folded(layer: Any, norm: Any, statistics: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor | None]:
    """Give a layer's weights and bias with the batch normalization `norm` in them; None stands for no normalization.

    `statistics` are mean and variance of each channel, the running ones unless given.
    """
    weight, bias = layer.weight, layer.bias
    if norm is None:
        return weight, bias
    mean, variance = statistics or (norm.running_mean, norm.running_var)
    gain = torch.rsqrt(variance + norm.eps) * norm.weight
    offset = norm.bias - mean * gain
    return weight * _along_first(gain, weight), offset if bias is None else offset + bias * gain


def learned_weights(weight: Tensor, bits: int) -> LearnedSteps:
    """Make the quantizer of weights whose steps begin where the squared error of each channel is the least."""
    highest = 2 ** (bits - 1) - 1
    # With 8 bits symmetric, as static_int8 has it; with fewer, every integer counts.
    lowest = -highest if bits == CONTAINER_BITS else -highest - 1
    flat = weight.detach().flatten(1)
    largest = flat.abs().amax(1, keepdim=True).clamp_min(SMALLEST_STEP)
    zero = torch.zeros(())
    candidates = torch.stack([largest[:, 0] * part / highest for part in torch.linspace(0.3, 1.2, 37)])
    errors = torch.stack(
        [(_quantized(flat, step[:, None], zero, lowest, highest) - flat).square().sum(1) for step in candidates]
    )
    best = candidates.gather(0, errors.argmin(0, keepdim=True))[0]
    return LearnedSteps(best, 0, lowest, highest)


def learned_activation(low: float, high: float, lowest: int, highest: int) -> LearnedSteps:
    """Make the quantizer of an activation whose step begins with the range `low` to `high`, 0 among them.

    The integer of 0 stays what it is: a ReLU's lower bound stays exact.
    """
    step = max((high - low) / (highest - lowest), SMALLEST_STEP)
    zero_point = min(max(round(lowest - low / step), lowest), highest)
    return LearnedSteps(torch.tensor(step), zero_point, lowest, highest)


class _Round(torch.autograd.Function):
    """Round half to even; the gradient takes it for the identity."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return gradient


class _ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(context: Any, x: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * context.factor, None


def _quantized(x: Tensor, step: Tensor, zero_point: Tensor, lowest: int, highest: int) -> Tensor:
    """Clip before rounding, which is the same for bounds that are integers: what is clipped passes no gradient."""
    clipped = (x / step).clamp(lowest - zero_point, highest - zero_point)
    integers: Tensor = _Round.apply(clipped)  # type: ignore[no-untyped-call]
    return integers * step


def _along_first(each: Tensor, like: Tensor) -> Tensor:
    return each.reshape([-1] + [1] * (like.ndim - 1)) if each.ndim else each
