"""Campaigns: thousands of faults of one kind, counted. `python -m benchmarks.campaign NAME`; each module is one."""
