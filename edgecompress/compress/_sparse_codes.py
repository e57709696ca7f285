"""Dictionary learning: signals as sums of few atoms, by orthogonal matching pursuit and K-SVD.

Sources: Pati, Rezaiifar and Krishnaprasad 1993 (OMP); Aharon, Elad and Bruckstein 2006 (K-SVD, section IV).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def learn(signals: Matrix, atoms: int, kept: int, rounds: int, seed: int) -> tuple[Matrix, Matrix]:
    """Find atoms (atoms, n) of length 1, and codes (signals, atoms) with at most `kept` numbers each that are not 0."""
    random = np.random.default_rng(seed)
    dictionary = _first(signals, atoms, random)
    codes = pursue(signals, dictionary, kept)
    for _ in range(rounds):
        dictionary, codes = _update(signals, dictionary, codes)
        found = pursue(signals, dictionary, kept)
        if _error(signals, dictionary, found) > _error(signals, dictionary, codes) * (1 - 1e-6):
            break
        codes = found
    return dictionary, codes


def pursue(signals: Matrix, dictionary: Matrix, kept: int) -> Matrix:
    """Code signals: the atom that agrees best with what is left comes in, then all are fitted again."""
    codes = np.zeros((len(signals), len(dictionary)))
    for row, signal in enumerate(signals):
        chosen: list[int] = []
        left, values = signal, np.zeros(0)
        for _ in range(min(kept, len(dictionary))):
            agreement = np.abs(dictionary @ left)
            agreement[chosen] = -1.0
            best = int(np.argmax(agreement))
            if agreement[best] <= np.finfo(np.float32).eps * np.linalg.norm(signal):
                break
            chosen.append(best)
            values = np.linalg.lstsq(dictionary[chosen].T, signal, rcond=None)[0]
            left = signal - values @ dictionary[chosen]
        codes[row, chosen] = values
    return codes


def _first(signals: Matrix, atoms: int, random: np.random.Generator) -> Matrix:
    """Begin with signals, drawn by their length; what they cannot fill is drawn at random."""
    lengths = np.linalg.norm(signals, axis=1)
    usable = np.flatnonzero(lengths)
    drawn = random.choice(usable, min(atoms, len(usable)), replace=False, p=lengths[usable] / lengths[usable].sum())
    rest = random.normal(size=(atoms - len(drawn), signals.shape[1]))
    dictionary = np.concatenate([signals[np.sort(drawn)], rest])
    normalized: Matrix = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)
    return normalized


def _update(signals: Matrix, dictionary: Matrix, codes: Matrix) -> tuple[Matrix, Matrix]:
    """Fit each atom and its codes to what the others leave of the signals that use it: the first singular vectors."""
    dictionary, codes = dictionary.copy(), codes.copy()
    for atom in range(len(dictionary)):
        users = np.flatnonzero(codes[:, atom])
        if not users.size:
            continue
        codes[users, atom] = 0
        left = signals[users] - codes[users] @ dictionary
        u, s, v = np.linalg.svd(left, full_matrices=False)
        dictionary[atom], codes[users, atom] = v[0], s[0] * u[:, 0]
    return dictionary, codes


def _error(signals: Matrix, dictionary: Matrix, codes: Matrix) -> float:
    return float(np.square(signals - codes @ dictionary).sum())
