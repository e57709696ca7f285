"""One file a kernel family: a TIR template specialised to a layer's shape."""
