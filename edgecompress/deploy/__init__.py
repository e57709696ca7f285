"""Bundle -> Device. One module a link: `connect(target, address, *, emulator_args) -> Device`."""
