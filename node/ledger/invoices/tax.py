"""Tax of a net amount: the one rounding that rules, totals, faces and imports share."""

from __future__ import annotations

BASIS_POINTS = 10_000
"""Tax rates are basis points."""


def tax_half_up(net: int, rate: int) -> int:
    """Net × rate, rounded half up to a minor unit. `rate` is in basis points, `net` ≥ 0."""
    return (2 * net * rate + BASIS_POINTS) // (2 * BASIS_POINTS)


def signed_tax(net: int, rate: int) -> int:
    """Net × rate, rounded half away from zero; `net` may be negative."""
    return tax_half_up(net, rate) if net >= 0 else -tax_half_up(-net, rate)
