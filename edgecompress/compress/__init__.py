"""Model -> Model. One module a method: `apply(model, options, context) -> Model`."""
