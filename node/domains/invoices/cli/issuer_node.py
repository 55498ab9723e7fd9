"""The issuer's node as an import sees it: a client for each thread, writes, orders, payers.

Owns waiting for the node and what may be sent twice. A write that issues carries an order id, which
makes it safe to send again by itself; a request for a form does not, so its key is made of what it
asks, and stays the same from one import to the next.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from node.cli.client import ApiClient, NodeUnreachableError
from node.cli.context import client_of
from node.cli.errors import CliError
from node.cli.options import Until
from node.cli.writes import post_and_wait, reached
from node.domains.invoices.cli.pacing import Pace
from node.domains.invoices.importing.plan import encode_json

if TYPE_CHECKING:
    from node.system.config import NodeConfig

PATIENCE_S = 120.0
"""How long the import waits for a node that is away or cannot write: an election, a restart."""
CONTENT_STATUSES = {400, 404, 409, 413, 422}
"""Statuses that are about the content; any other ends the import."""
_ORDERS = 1_000


class IssuerNode:
    """One node, used from many threads."""

    def __init__(self, config: NodeConfig, pace: Pace) -> None:
        self._config = config
        self._pace = pace
        self._clients = threading.local()
        self._opened: list[ApiClient] = []
        self._run = secrets.token_hex(8)

    def close(self) -> None:
        """Close every connection."""
        for client in self._opened:
            client.close()

    def write(self, path: str, body: bytes, *, once: str | None = None) -> dict[str, Any]:
        """A write, until it is committed.

        Args:
            path: Of the API.
            body: JSON.
            once: What names this write for ever: one of the same name is not done again. None:
                what this run has sent is not done again.

        Raises:
            ProblemError: refused.
            CliError: nothing is committed any more.
        """
        name = f"{self._run if once is None else once}\n{path}\n".encode()
        with self._pace.slot():
            result = post_and_wait(
                self._client("operate"),
                path,
                body,
                until=Until.COMMITTED,
                timeout_s=PATIENCE_S,
                idempotency_key=hashlib.sha256(name + body).hexdigest(),
            )
        if not reached(result, Until.COMMITTED):
            raise CliError(f"nothing was committed for {PATIENCE_S:.0f} s; run the import again")
        self._pace.well()
        return result

    def hand_in(self, files: Sequence[bytes]) -> None:
        """Give the node the attachments that the next body names.

        Raises:
            ProblemError: refused.
        """
        for content in files:
            with self._pace.slot():
                self._client("operate").post_file("/v1/attachments", content)

    def invoice(self, number: str) -> dict[str, Any]:
        """An invoice, with its details if this node can read them."""
        return self._client("read").get(f"/v1/invoices/{number}").fields

    def find_orders(self, order_ids: Sequence[str]) -> dict[str, str]:
        """The numbers of those orders that the ledger holds."""
        found: dict[str, str] = {}
        distinct = list(dict.fromkeys(order_ids))
        for start in range(0, len(distinct), _ORDERS):
            body = encode_json({"order_ids": distinct[start : start + _ORDERS]})
            answer = self._client("operate").post("/v1/orders:find", body).fields
            rows = answer.get("orders")
            if not isinstance(rows, list):
                raise NodeUnreachableError("the node's answer names no orders")
            found |= {row["order_id"]: row["number"] for row in rows}
        return found

    def compare_orders(self, request: bytes) -> list[dict[str, Any]]:
        """What the ledger holds of these orders, and in what it differs.

        Raises:
            ProblemError: refused.
        """
        with self._pace.slot():
            answer = self._client("operate").post("/v1/orders:compare", request).fields
        rows = answer.get("orders")
        if not isinstance(rows, list):
            raise NodeUnreachableError("the node's answer names no orders")
        return rows

    def only_payer(self) -> str:
        """The network's only payer.

        Raises:
            CliError: there is none, or more than one.
        """
        rows = self._client("read").get("/v1/participants", limit=500).fields["participants"]
        assert isinstance(rows, list)
        payers = [row["id"] for row in rows if "payer" in row["roles"]]
        if len(payers) != 1:
            raise CliError(f"the network has {len(payers)} payers: say which with --buyer")
        return str(payers[0])

    def _client(self, scope: str) -> ApiClient:
        """This thread's client."""
        client: ApiClient | None = getattr(self._clients, scope, None)
        if client is None:
            client = client_of(
                self._config,
                "read" if scope == "read" else "operate",
                patience_s=PATIENCE_S,
                on_busy=self._pace.busy,
            )
            setattr(self._clients, scope, client)
            self._opened.append(client)
        return client
