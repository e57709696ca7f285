"""Device -> Measurements. One module a question: `read(device, bundle, evidence) -> Measurements`."""
