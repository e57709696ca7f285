"""Networks of a size that a Raspberry Pi runs, defined in torch with seeded weights: one module a network.

`python -m benchmarks.networks` writes their ONNX files. A module defines SHAPE, the input's shape, and `build()`, which
gives the network. Nobody has trained them: they show what a network of that structure costs and whether it is computed
right, not what it knows.
"""
