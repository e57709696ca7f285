"""Compress a trained network, compile it for a device, deploy it, and measure it there."""

__version__ = "0.1.0"
