"""Functions that call kernels for parts of one layer or of several: a program's calls name them like kernels."""

from __future__ import annotations

from edgecompress.compile.bands import Bands
from edgecompress.compile.chain import Chain
from edgecompress.compile.parts import Parts

Cut = Bands | Parts | Chain
"""Each has a name, the names of its `kernels`, and `wrap`, which writes the function around them."""
