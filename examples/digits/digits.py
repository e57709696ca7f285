"""scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels, from 0 to 1, with the digit as the label.

The test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
(1998). A recipe beside this file takes them by `function = "digits:samples"`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

DARKEST = 16


def samples() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the images (1797, 1, 8, 8) and their digits (1797)."""
    digits = load_digits()
    images = (digits.images[:, np.newaxis] / DARKEST).astype(np.float32)
    return images, digits.target.astype(np.int64)
