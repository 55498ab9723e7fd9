"""Measurements of `consensus` between real processes; run by hand, not by the tests."""
