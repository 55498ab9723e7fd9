"""What the tax bureau must have said before anyone may issue: numbers, quota, rates."""

from __future__ import annotations

from datetime import UTC, datetime

from node.demo.demo_network import DemoNetwork
from node.domains.invoices.cli.registers import month_bounds

MICRO = {"GBP": 9_150_000}
"""Fen for 10^6 minor units: a plausible rate of exchange."""
TAX_RATES = [0, 600, 1_300, 2_000]
NUMBERS = 1_000_000


def open_registers(network: DemoNetwork, bureau: str, issuer: str, net: int, currency: str) -> int:
    """Allot numbers and twice the quota that `net` needs; publish rates.

    Args:
        network: Running.
        bureau: Node of the tax bureau.
        issuer: Node of the issuer.
        net: What will be issued, in minor units of `currency`.
        currency: A foreign one of `MICRO`.

    Returns:
        The quota, in fen.
    """
    code, now = network.ids[issuer], datetime.now(UTC)
    quota = 2 * net * MICRO[currency] // 10**6
    numbers = {"issuer": code, "first": f"{now:%y}311{1:015}", "count": NUMBERS}
    network.act(bureau, "/v1/segments", numbers)
    network.act(bureau, "/v1/tax-rates", {"issuer": code, "rates": TAX_RATES})
    network.act(bureau, "/v1/exchange-rates", exchange_rate(currency))
    month = f"{now:%Y-%m}"
    for _ in range(2):  # a demo at the end of a month runs into the next
        first, after = month_bounds(month, 0)
        validity = {"valid_from": first, "valid_to": after}
        network.act(
            bureau, "/v1/quotas", {"issuer": code, "month": month, "net": quota, **validity}
        )
        month = after[:7]
    return quota


def exchange_rate(currency: str) -> dict[str, object]:
    """The body that publishes today's rate."""
    return {
        "currency": currency,
        "micro": MICRO[currency],
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }
