"""An issuer's node in memory, behind real HTTP: just enough of the API for an import."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

from node.domains.invoices.api.order_compare import OrderBody, OrdersCompareBody, RedOrderBody
from node.domains.invoices.details.bodies import InvoiceBody, RedIssueBody
from node.domains.invoices.details.drafting import invoice_draft

ISSUER = "91310115337099624K"
PAYER = "91310115358051750H"
Json = dict[str, object]


class Refusal(Exception):  # noqa: N818 - a value of the fake, not an error of the program
    def __init__(self, status: int, code: str, operation: int | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.operation = operation


class FakeNode:
    """Issues, opens forms and issues red letters; refuses the orders it is told to refuse."""

    def __init__(self) -> None:
        self.invoices: dict[str, Json] = {}
        self.refused_orders: dict[str, str] = {}
        self.refused_forms: list[str] = []
        """Codes that the next requests for a form are refused with."""
        self.tells_position = False
        """Whether the refusal of a batch says which invoice is at fault."""
        self.unavailable = 0
        """Writes to answer 503 before any other."""
        self.forbidden = False
        self.found: dict[str, str] = {}
        """Order id → number: the orders of the ledger."""
        self.files: dict[str, bytes] = {}
        """By hash: attachments that were handed in."""
        self.bodies: dict[str, Json] = {}
        """By order id: what it was issued with."""
        self.dies_after: int | None = None
        """Writes it does; then it answers 403 to all, as a stop in the middle."""
        self.answers: dict[str, Json | Refusal] = {}
        self.batch_sizes: list[int] = []
        self.requests = 0
        self._lock = threading.Lock()

    def handle(self, method: str, path: str, body: Json, key: str | None) -> Json:
        """The answer to a request.

        Raises:
            Refusal: it is a problem.
        """
        with self._lock:
            self.requests += 1
            if method == "GET":
                return self._read(path.partition("?")[0])
            assert key is not None
            if path == "/v1/orders:find":
                return self._find(body)
            if path == "/v1/orders:compare":
                return self._compare(body)
            if self.dies_after is not None:
                self.dies_after -= 1
            if self.dies_after is not None and self.dies_after < 0:
                raise Refusal(403, "FORBIDDEN")
            if self.forbidden:
                raise Refusal(403, "FORBIDDEN")
            if self.unavailable:
                self.unavailable -= 1
                raise Refusal(503, "NO_QUORUM")
            if key not in self.answers:
                try:
                    self.answers[key] = self._write(path.partition("?")[0], body)
                except Refusal as refusal:  # what a key was refused, it is refused again
                    self.answers[key] = refusal
            answer = self.answers[key]
            if isinstance(answer, Refusal):
                raise answer
            return answer

    def hand_in(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        with self._lock:
            self.files[name] = content
        return name

    def _find(self, body: Json) -> Json:
        asked = body["order_ids"]
        assert isinstance(asked, list)
        assert len(asked) <= 1_000
        held = [{"order_id": o, "number": self.found[o]} for o in asked if o in self.found]
        return {"orders": held}

    def _compare(self, body: Json) -> Json:
        asked = OrdersCompareBody.model_validate_json(json.dumps(body))
        assert len(json.dumps(body)) < 1 << 20
        bodies: list[OrderBody | RedOrderBody] = [*asked.invoices, *asked.red]
        given = [*body.get("invoices", []), *body.get("red", [])]  # type: ignore[misc]
        orders = []
        for each, checked in zip(given, bodies, strict=True):
            held = self.bodies.get(checked.order_id, {})
            if checked.order_id in self.found:
                names = sorted(n for n in held if n in each and each[n] != held[n])
                number = self.found[checked.order_id]
                paths = [f"/{name}" for name in names]
                orders.append({"order_id": checked.order_id, "number": number, "differs": paths})
        return {"orders": orders}

    def _read(self, path: str) -> Json:
        match path.split("/")[2:]:
            case ["participants"]:
                return {
                    "participants": [
                        {"id": ISSUER, "roles": ["issuer"]},
                        {"id": PAYER, "roles": ["payer"]},
                    ]
                }
            case ["invoices", number]:
                return self.invoices[number]
            case _:
                raise Refusal(404, "NOT_FOUND")

    def _write(self, path: str, body: Json) -> Json:
        match path.split("/")[2:]:
            case ["invoices:batch"]:
                drafts = body["invoices"]
                assert isinstance(drafts, list)
                self.batch_sizes.append(len(drafts))
                for position, draft in enumerate(drafts):
                    InvoiceBody.model_validate_json(json.dumps(draft))
                    if draft["order_id"] in self.refused_orders:
                        raise Refusal(
                            409,
                            self.refused_orders[draft["order_id"]],
                            position if self.tells_position else None,
                        )
                return self._done(numbers=[self._add(draft) for draft in drafts])
            case ["invoices", number, "red"]:
                if self.refused_forms:
                    raise Refusal(409, self.refused_forms.pop())
                forms = self.invoices[number]["red_forms"]
                assert isinstance(forms, list)
                form = {"form": len(forms), "asked_by": "issuer", "state": "confirmed"}
                forms.append(form | {"amount": body["amount"], "number": None})
                return self._done()
            case ["invoices", number, "red", form, "issue"]:
                RedIssueBody.model_validate_json(json.dumps(body))
                order_id = str(body["order_id"])
                if order_id in self.refused_orders:
                    raise Refusal(409, self.refused_orders[order_id])
                forms = self.invoices[number]["red_forms"]
                assert isinstance(forms, list)
                added = self._add(body | {"invoice": number})
                forms[int(form)] |= {"state": "issued", "number": added}
                return self._done(number=added)
            case _:
                raise Refusal(404, "NOT_FOUND")

    def _add(self, body: Json) -> str:
        order_id = str(body["order_id"])
        details = body.get("details") or {}
        assert isinstance(details, dict)
        for named in details.get("attachments", []):
            if named["hash"] not in self.files:
                raise Refusal(422, "INVALID_FIELDS")
        if order_id in self.found:
            return self.found[order_id]
        number = f"{len(self.invoices) + 1:020}"
        groups = _groups(body) if "buyer" in body else []
        self.invoices[number] = {
            "number": number,
            "red_forms": [],
            "currency": body.get("currency", "GBP"),
            "details": {"lines": body.get("lines")},
            "buyer": body.get("buyer"),
            "groups": groups,
        }
        self.found[order_id] = number
        self.bodies[order_id] = body
        return number

    def _done(self, **more: object) -> Json:
        return {"transaction": "ab" * 32, "state": "committed", **more}


def _groups(body: Json) -> list[Json]:
    draft = invoice_draft(InvoiceBody.model_validate_json(json.dumps(body)), ISSUER, "2026-11-20")
    return [
        {"rate": g.rate, "net": g.net, "tax": g.tax, "credited_net": 0, "credited_tax": 0}
        for g in draft.groups
    ]


@contextmanager
def served(fake: FakeNode) -> Iterator[int]:
    """The port at which `fake` answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            status = 200
            try:
                if self.path == "/v1/attachments":
                    assert self.headers["Content-Type"] == "application/octet-stream"
                    self._send(201, {"hash": fake.hand_in(content), "size": len(content)})
                    return
                body = json.loads(content or b"{}")
                value = fake.handle(method, self.path, body, self.headers.get("Idempotency-Key"))
            except Refusal as refusal:
                status = refusal.status
                value = {"code": refusal.code, "detail": f"because of {refusal.code}"}
                if refusal.operation is not None:
                    value["operation"] = refusal.operation
            self._send(status, value)

        def _send(self, status: int, value: Json) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *_: object) -> None:
            """Stay quiet."""

    class Server(ThreadingHTTPServer):
        block_on_close = True
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
