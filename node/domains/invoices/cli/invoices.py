"""`piaolian invoice …`: the life of an invoice. Owns arguments and output, no rule."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from node.cli.client import ApiClient
from node.cli.context import connect
from node.cli.errors import UsageError, reason_of
from node.cli.money import Sum, money_text, rate_option, sum_option
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_fields, print_json, print_table
from node.cli.writes import ACTOR, Write, write_command
from node.domains.invoices.cli import exporting
from node.domains.invoices.cli.arguments import Amount, Number, currency_of
from node.domains.invoices.cli.imports import register as register_imports
from node.domains.invoices.cli.invoice_list import register as register_list
from node.domains.invoices.cli.shown import for_people, row_for_people

app = typer.Typer(no_args_is_help=True, help="Issue, hand on, claim, book and correct invoices.")
register_imports(app)
register_list(app)
_INPUT_BYTES_MAX = 4 << 20

Claim = Annotated[
    int, whole_option("--claim", least=0, about="Number of the claim on the invoice.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words.")]


@app.callback()
def act_as(
    actor: Annotated[
        str | None,
        typer.Option("--as", help="Act as this bare key of the node's wallet (hex)."),
    ] = None,
) -> None:
    """Issue, hand on, claim, book and correct invoices."""
    ACTOR.set(actor)


def read_json_input(file: Path) -> object:
    """A JSON document from a file, or from standard input for `-`.

    Raises:
        UsageError: unreadable, too large, or no JSON.
    """
    try:
        if str(file) == "-":
            text = sys.stdin.read(_INPUT_BYTES_MAX + 1)
        else:
            with file.open(encoding="utf-8") as stream:
                text = stream.read(_INPUT_BYTES_MAX + 1)
        if len(text) > _INPUT_BYTES_MAX:
            raise UsageError(f"{file}: larger than {_INPUT_BYTES_MAX} characters")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {reason_of(error)}") from error
    except RecursionError as error:
        raise UsageError(f"{file}: nested too deeply") from error


@write_command(
    app,
    epilog=example(
        "piaolian invoice issue --order-id SO-1 --buyer 91310115337099624K --net 250.00 --rate 13%",
        "piaolian invoice issue invoice.json --wait final",
    ),
)
def issue(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="JSON of one invoice as POST /v1/invoices takes it, or a list; `-`: stdin."
        ),
    ] = None,
    order_id: Annotated[str | None, typer.Option(help="Your order: one invoice each.")] = None,
    buyer: Annotated[
        str | None, typer.Option(help="Participant id, a bare key, or `claim`.")
    ] = None,
    net: Annotated[Sum | None, sum_option(least=1, about="Net.")] = None,
    rate: Annotated[int | None, rate_option(about="Of tax.")] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217.")] = "CNY",
    special: Annotated[bool, typer.Option("--special", help="A special invoice.")] = False,
) -> Write:
    """Issue an invoice from a JSON file or from options; the node draws its number."""
    body: object
    shown: dict[str, object] = {}
    if file is not None:
        body = read_json_input(file)
    elif order_id is None or buyer is None or net is None or rate is None:
        raise UsageError("give a JSON file, or --order-id, --buyer, --net and --rate")
    else:
        amount = net.minor_in(currency)
        shown = {"net": money_text(amount, currency)}
        body = {
            "order_id": order_id,
            "buyer": buyer,
            "kind": "special" if special else "ordinary",
            "currency": currency,
            "groups": [{"rate": rate, "net": amount}],
        }
    if isinstance(body, list):
        return Write("/v1/invoices:batch", {"invoices": body})
    return Write("/v1/invoices", body, shown=shown)


app.command(
    epilog=example(
        "piaolian invoice export --format xlsx --from 2026-11-01 --to 2026-12-01 -o november.xlsx",
        "piaolian invoice export 26310000000000000001 --format ubl -o invoice.xml",
        "piaolian invoice export 26310000000000000001 26310000000000000002 --format ubl -o folder",
    )
)(exporting.export)


@app.command(epilog=example("piaolian invoice show 26310000000000000001"))
def show(number: Number, config: Config = None, as_json: Json = False) -> None:
    """Show one invoice: amounts, state, holder, claims, forms."""
    with connect(config) as client:
        value = client.get(f"/v1/invoices/{number}").fields
    if as_json:
        print_json(value)
    else:
        print_fields(cast("dict[str, object]", for_people(value, str(value["currency"]))))


@app.command(epilog=example("piaolian invoice inbox", "piaolian invoice --as 055c…1a inbox"))
def inbox(
    limit: Annotated[int, whole_option(least=1, most=500, about="Items on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What waits for this participant: offers, submissions, locks, forms; and until when."""
    with connect(config) as client:
        page = client.get("/v1/inbox", as_=ACTOR.get(), limit=limit, cursor=cursor).fields
    if as_json:
        print_json(page)
        return
    items = page["items"]
    assert isinstance(items, list)
    shown = ["number", "currency", "gross", "available", "issuer"]
    rows = [
        item
        | row_for_people(
            {name: item["invoice"][name] for name in shown}, item["invoice"]["currency"]
        )
        for item in items
    ]
    stands_in = ["for_issuer"] if any("for_issuer" in item for item in items) else []
    print_table(rows, ["kind", *stands_in, *shown, "form", "claim", "deadline", "overdue"])
    if page.get("next_cursor"):
        message(f"more: --cursor {page['next_cursor']}")


@app.command(epilog=example("piaolian invoice trace 26310000000000000001"))
def trace(number: Number, config: Config = None, as_json: Json = False) -> None:
    """Every step of an invoice, with its signer, height and transaction."""
    with connect(config) as client:
        value = read_trace(client, number)
        currency = "" if as_json else str(client.get(f"/v1/invoices/{number}").fields["currency"])
    if as_json:
        print_json(value)
        return
    steps = cast("list[dict[str, object]]", for_people(value["steps"], currency))
    print_table(steps, ["height", "time", "operation", "signer", "amount", "other", "transaction"])


def read_trace(client: ApiClient, number: str) -> dict[str, object]:
    """The whole trace of an invoice, all pages of it."""
    trace = client.get(f"/v1/invoices/{number}/trace", limit=500).fields
    steps = trace["steps"]
    assert isinstance(steps, list)
    while cursor := trace.pop("next_cursor", None):
        page = client.get(f"/v1/invoices/{number}/trace", limit=500, cursor=cursor).fields
        more = page["steps"]
        assert isinstance(more, list)
        steps += more
        if "next_cursor" in page:
            trace["next_cursor"] = page["next_cursor"]
    return trace


@write_command(
    app, epilog=example("piaolian invoice offer 26310000000000000001 --to 91310115358051750H")
)
def offer(
    number: Number,
    to: Annotated[str, typer.Option(help="The next holder.")],
    expires: Annotated[str | None, typer.Option(help="RFC 3339 time; default 7 days.")] = None,
) -> Write:
    """Offer the invoice to another holder."""
    body = {"to": to} | ({"expires": expires} if expires else {})
    return Write(f"/v1/invoices/{number}/offer", body)


@write_command(
    app, epilog=example("piaolian invoice share 26310000000000000001 --to 91310115358051750H")
)
def share(
    number: Number,
    to: Annotated[str, typer.Option(help="Who may read the details: participant, or bare key.")],
) -> Write:
    """Let one more party read the sealed details; it cannot be taken back."""
    return Write(f"/v1/invoices/{number}/share", {"to": to})


@write_command(app, epilog=example("piaolian invoice sign 26310000000000000001"))
def sign(
    number: Number,
) -> Write:
    """Take an offered invoice."""
    return Write(f"/v1/invoices/{number}/sign")


@write_command(app, epilog=example("piaolian invoice refuse 26310000000000000001"))
def refuse(
    number: Number,
) -> Write:
    """Refuse an offered invoice."""
    return Write(f"/v1/invoices/{number}/refuse")


@write_command(app, epilog=example("piaolian invoice withdraw 26310000000000000001"))
def withdraw(
    number: Number,
) -> Write:
    """Take an open offer back."""
    return Write(f"/v1/invoices/{number}/withdraw")


@write_command(
    app,
    epilog=example(
        "piaolian invoice submit 26310000000000000001 --to 91310115402233445X --amount 282.50"
    ),
)
def submit(
    number: Number,
    to: Annotated[str, typer.Option(help="The reimburser.")],
    amount: Amount,
) -> Write:
    """Submit an amount to a reimburser; a later one replaces it, 0 ends it."""
    body = {"to": to, "amount": amount}
    return Write(f"/v1/invoices/{number}/submit", body, currency_at=currency_of(number))


@write_command(app, epilog=example("piaolian invoice claim 26310000000000000001 --amount 282.50"))
def claim(
    number: Number,
    amount: Amount,
) -> Write:
    """Claim part or all of what was submitted: it is locked for this reimburser."""
    body = {"amount": amount}
    return Write(f"/v1/invoices/{number}/claim", body, currency_at=currency_of(number))


@write_command(app, epilog=example("piaolian invoice release 26310000000000000001 --claim 0"))
def release(
    number: Number,
    claim: Claim,
) -> Write:
    """Give up what a claim still locks."""
    return Write(f"/v1/invoices/{number}/release", {"claim": claim})


@write_command(
    app,
    epilog=example(
        "piaolian invoice reimburse 26310000000000000001 --claim 0 --amount 282.50 "
        "--booking V-88 --payment P-88"
    ),
)
def reimburse(
    number: Number,
    claim: Claim,
    amount: Amount,
    booking: Annotated[str, typer.Option(help="Reference of the booking.")],
    payment: Annotated[str, typer.Option(help="Reference of the payment.")],
) -> Write:
    """Pay an amount of a claim, for good; the rest of its lock is released."""
    body = {"claim": claim, "amount": amount, "booking": booking, "payment": payment}
    return Write(f"/v1/invoices/{number}/reimburse", body, currency_at=currency_of(number))


@write_command(app, epilog=example("piaolian invoice book 26310000000000000001 --reference V-88"))
def book(
    number: Number,
    reference: Annotated[str, typer.Option(help="Reference in your books.")],
) -> Write:
    """Enter the invoice in your books."""
    body = {"reference": reference}
    return Write(f"/v1/invoices/{number}/book", body)


@write_command(
    app, epilog=example('piaolian invoice unbook 26310000000000000001 --reason "wrong year"')
)
def unbook(
    number: Number,
    reason: Reason,
) -> Write:
    """Take a booking back."""
    return Write(f"/v1/invoices/{number}/unbook", {"reason": reason})


@write_command(
    app, epilog=example('piaolian invoice cancel 26310000000000000001 --reason "typing error"')
)
def cancel(
    number: Number,
    reason: Reason,
) -> Write:
    """Cancel a fresh invoice that nobody has touched."""
    return Write(f"/v1/invoices/{number}/cancel", {"reason": reason})
