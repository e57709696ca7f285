"""File -> Model. One module a file format."""
