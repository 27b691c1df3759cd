"""Measurements, run by hand: `python -m tests.benchmarks`. No time is asserted; `test_smoke` keeps them alive."""
