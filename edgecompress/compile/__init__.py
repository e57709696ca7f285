"""Model -> Bundle."""
