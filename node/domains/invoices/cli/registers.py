"""`piaolian quota|segment|rates …`: the tax bureau's registers, and which issuers it stops."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, cast

import typer

from node.cli.client import ApiClient
from node.cli.context import connect
from node.cli.errors import UsageError
from node.cli.money import Sum, rate_argument, sum_option
from node.cli.options import (
    Config,
    Id,
    Json,
    example,
    whole_option,
)
from node.cli.output import message, print_json, print_table
from node.cli.writes import Write, write_command
from node.domains.invoices.cli.shown import rates_for_people, row_for_people
from node.ledger.currency import decimals

quota = typer.Typer(no_args_is_help=True, help="Quota of issuers.")
segment = typer.Typer(no_args_is_help=True, help="Number segments of issuers.")
region = typer.Typer(no_args_is_help=True, help="Number ranges of regional bureaus.")
segment.add_typer(region, name="region")
issuers = typer.Typer()
"""Joins `piaolian participant`."""
rates = typer.Typer(no_args_is_help=True, help="Tax rates and exchange rates.")

_PAGE = 500
_MONTH = re.compile("([0-9]{4})-([0-9]{2})")
_RATE = re.compile(r"[0-9]{1,12}\.[0-9]{1,12}", re.ASCII)
_RATE_DIGITS_MAX = 30
Case = Annotated[str, typer.Option(help="The case that it is for.")]
Issuer = Annotated[str, typer.Option(help="The issuer's unified social credit code.")]
Limit = Annotated[int, whole_option(least=1, most=500, about="Rows on a page.")]
Cursor = Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")]


def _show(
    path: str,
    field: str,
    columns: Sequence[str],
    config: Path | None,
    as_json: bool,
    **query: object,
) -> None:
    with connect(config) as client:
        page = client.get(path, **query).fields
        currency = _home_currency(client, columns, as_json)
    _print_page(page, field, columns, as_json, currency)


def _home_currency(client: ApiClient, columns: Sequence[str], as_json: bool) -> str | None:
    """Of sums in a table that has a column for it."""
    if as_json or "currency" not in columns:
        return None
    return str(client.get("/v1/terms").fields["home_currency"])


def _show_issuer(
    path: str, field: str, columns: Sequence[str], config: Path | None, as_json: bool, issuer: str
) -> None:
    """All rows of one issuer; the register is ordered by issuer, so there is little to skip."""
    found: list[object] = []
    with connect(config) as client:
        cursor: object = None
        while True:
            page = client.get(path, limit=_PAGE, cursor=cursor).fields
            found += [row for row in _rows(page, field) if row.get("issuer") == issuer]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        currency = _home_currency(client, columns, as_json)
    _print_page({field: found}, field, columns, as_json, currency)


def _print_page(
    page: dict[str, object],
    field: str,
    columns: Sequence[str],
    as_json: bool,
    currency: str | None,
) -> None:
    if as_json:
        print_json(page)
        return
    rows = _rows(page, field)
    if currency is not None:
        rows = [row_for_people(row, currency) | {"currency": currency} for row in rows]
    print_table(rows, columns)
    if page.get("next_cursor"):
        message(f"more: --cursor {page['next_cursor']}")


def _rows(page: dict[str, object], field: str) -> list[dict[str, object]]:
    rows = page.get(field)
    return rows if isinstance(rows, list) else []


@write_command(
    quota,
    epilog=example(
        "piaolian quota grant --issuer 91310115337099624K --month 2026-11 --net 1000000.00"
    ),
)
def grant(
    issuer: Issuer,
    month: Annotated[str, typer.Option(help="YYYY-MM.")],
    net: Annotated[Sum, sum_option(least=0, about="Net, in the home currency.")],
    valid_from: Annotated[str | None, typer.Option(help="Default: start of the month.")] = None,
    valid_to: Annotated[str | None, typer.Option(help="Default: start of the next.")] = None,
    config: Config = None,
) -> Write:
    """Set an issuer's net quota of a month (tax bureau)."""
    month_bounds(month, 0)  # before the node is asked
    with connect(config) as client:
        offset = cast("int", client.get("/v1/terms").fields["utc_offset_minutes"])
    first, after = month_bounds(month, offset)
    body = {
        "issuer": issuer,
        "month": month,
        "net": net,
        "valid_from": valid_from or first,
        "valid_to": valid_to or after,
    }
    return Write("/v1/quotas", body, currency_at=("/v1/terms", "home_currency"))


def month_bounds(month: str, offset_minutes: int) -> tuple[str, str]:
    """First moment of a month `YYYY-MM` and of the next one, RFC 3339 UTC.

    Args:
        month: By the network's clock.
        offset_minutes: How far that is ahead of UTC.

    Raises:
        UsageError: not a month.
    """
    found = _MONTH.fullmatch(month)
    if found is None:
        raise UsageError(f"month {month}: must be YYYY-MM")
    year, number = int(found[1]), int(found[2])
    if not 1 <= number <= 12:
        raise UsageError(f"month {month}: there is no such month")
    if not 1970 <= year < 9_999:
        raise UsageError(f"month {month}: there is no such month")
    next_year, following = (year + 1, 1) if number == 12 else (year, number + 1)
    ahead = timedelta(minutes=offset_minutes)
    first, after = (
        datetime(y, m, 1, tzinfo=UTC) - ahead for y, m in ((year, number), (next_year, following))
    )
    return f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{after:%Y-%m-%dT%H:%M:%SZ}"


@quota.command("show", epilog=example("piaolian quota show --issuer 91310115337099624K"))
def show_quota(
    issuer: Annotated[str | None, typer.Option(help="Default: all issuers.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show quota: granted, used, remaining."""
    sums = ["currency", "granted", "used", "remaining"]
    columns = ["issuer", "month", *sums, "valid_from", "valid_to"]
    if issuer is not None:
        _show_issuer("/v1/quotas", "quotas", columns, config, as_json, issuer)
    else:
        _show("/v1/quotas", "quotas", columns, config, as_json, limit=limit, cursor=cursor)


@write_command(
    segment,
    epilog=example(
        "piaolian segment allot --issuer 91310115337099624K --first 26310000000000000001 "
        "--count 100000"
    ),
)
def allot(
    issuer: Issuer,
    first: Annotated[str, typer.Option(help="First number, 20 digits.")],
    count: Annotated[int, whole_option(least=1, about="How many numbers.")],
) -> Write:
    """Allot consecutive invoice numbers to an issuer (tax bureau)."""
    body = {"issuer": issuer, "first": first, "count": count}
    return Write("/v1/segments", body)


@segment.command("list", epilog=example("piaolian segment list --issuer 91310115337099624K"))
def list_segments(
    issuer: Annotated[str | None, typer.Option(help="Default: all issuers.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List allotted segments."""
    columns = ["issuer", "segments"]
    if issuer is not None:
        _show_issuer("/v1/segments", "segments", columns, config, as_json, issuer)
    else:
        _show("/v1/segments", "segments", columns, config, as_json, limit=limit, cursor=cursor)


@write_command(
    region,
    "allot",
    epilog=example(
        "piaolian segment region allot --bureau 11310115337099624K --first 26310000000000000001 "
        "--count 1000000"
    ),
)
def allot_region(
    bureau: Annotated[str, typer.Option(help="The regional bureau's unified social credit code.")],
    first: Annotated[str, typer.Option(help="First number, 20 digits.")],
    count: Annotated[int, whole_option(least=1, about="How many numbers.")],
) -> Write:
    """Allot consecutive numbers to a regional bureau, for its issuers (head bureau)."""
    body = {"bureau": bureau, "first": first, "count": count}
    return Write("/v1/regions", body)


@region.command("list", epilog=example("piaolian segment region list"))
def list_regions(
    limit: Limit = 50, cursor: Cursor = None, config: Config = None, as_json: Json = False
) -> None:
    """List the ranges of regional bureaus."""
    columns = ["bureau", "ranges"]
    _show("/v1/regions", "regions", columns, config, as_json, limit=limit, cursor=cursor)


@write_command(rates, epilog=example("piaolian rates publish 0% 3% 6% 9% 13%"))
def publish(
    rate: Annotated[list[int], rate_argument(about="Of tax.")],
    issuer: Annotated[str | None, typer.Option(help="Only for this issuer.")] = None,
) -> Write:
    """Set the tax rates in force, for one issuer or for all (tax bureau)."""
    body = {"issuer": issuer, "rates": rate}
    return Write("/v1/tax-rates", body)


@write_command(rates, epilog=example("piaolian rates exchange GBP 9.15 --date 2026-11-23"))
def exchange(
    currency: Annotated[str, typer.Argument(help="ISO 4217.")],
    rate: Annotated[
        str,
        typer.Argument(
            metavar="RATE",
            help="Home currency for one of it, as 9.15; or digits alone: home minor units for 10^6 "
            "of the currency's, 9150000.",
        ),
    ],
    date: Annotated[str, typer.Option(help="In force from, YYYY-MM-DD.")],
    config: Config = None,
) -> Write:
    """Publish an exchange rate (tax bureau)."""
    if rate.isascii() and rate.isdecimal():
        micro = int(rate[:_RATE_DIGITS_MAX])
    else:
        with connect(config) as client:
            home = str(client.get("/v1/terms").fields["home_currency"])
        micro = micro_rate(rate, currency, home)
    body = {"currency": currency, "micro": micro, "date": date}
    return Write("/v1/exchange-rates", body, shown={"micro": micro})


def micro_rate(text: str, currency: str, home: str) -> int:
    """Home minor units for 10^6 minor units of a currency, of which one costs `text`.

    Raises:
        UsageError: it is no number, none above zero, or has too many decimals.
    """
    if not _RATE.fullmatch(text):
        raise UsageError(f"{text} is no rate of exchange: 9.15")
    micro = (Decimal(text) * 10**6).scaleb(decimals(home) - decimals(currency))
    if micro != micro.to_integral_value() or micro <= 0:
        raise UsageError(f"{text} has more decimals than a rate of exchange can have, or is zero")
    return int(micro)


@rates.command("list", epilog=example("piaolian rates list --json"))
def list_rates(config: Config = None, as_json: Json = False) -> None:
    """List tax rates and exchange rates in force."""
    with connect(config) as client:
        tax = client.get("/v1/tax-rates", limit=_PAGE).fields
        exchanged = client.get("/v1/exchange-rates", limit=_PAGE).fields
    if as_json:
        print_json(
            {
                "tax_rates": _rows(tax, "tax_rates"),
                "exchange_rates": _rows(exchanged, "exchange_rates"),
            }
        )
        return
    print_table([rates_for_people(row) for row in _rows(tax, "tax_rates")], ["issuer", "rates"])
    print_table(_rows(exchanged, "exchange_rates"), ["currency", "rates"])


# --- Whether an issuer may issue ---------------------------------------------------------------


@write_command(
    issuers,
    epilog=example("piaolian participant suspend-issuing 91310115337099624K --case 2026-117"),
)
def suspend_issuing(
    identity: Id,
    case: Case,
) -> Write:
    """Stop an issuer's blue invoices; red letters stay possible (tax bureau)."""
    return Write(f"/v1/issuers/{identity}/suspend", {"case": case})


@write_command(
    issuers,
    epilog=example("piaolian participant resume-issuing 91310115337099624K --case 2026-117"),
)
def resume_issuing(
    identity: Id,
    case: Case,
) -> Write:
    """Let an issuer issue again (tax bureau)."""
    return Write(f"/v1/issuers/{identity}/resume", {"case": case})
