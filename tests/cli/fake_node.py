"""An issuer's node in memory, behind real HTTP: just enough of the API for an import."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

from node.api.drafts import order_hash

ISSUER = "91310115337099624K"
PAYER = "91310115358051750H"
Json = dict[str, object]


class Refusal(Exception):  # noqa: N818 - a value of the fake, not an error of the program
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class FakeNode:
    """Issues, opens forms and issues red letters; refuses the orders it is told to refuse."""

    def __init__(self) -> None:
        self.invoices: dict[str, Json] = {}
        self.refused_orders: dict[str, str] = {}
        self.unavailable = 0
        """Writes to answer 503 before any other."""
        self.forbidden = False
        self.listed = True
        """Whether lists show what there is: a query index may be behind."""
        self.answers: dict[str, Json] = {}
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
            if self.forbidden:
                raise Refusal(403, "FORBIDDEN")
            if self.unavailable:
                self.unavailable -= 1
                raise Refusal(503, "NO_QUORUM")
            if key not in self.answers:
                self.answers[key] = self._write(path.partition("?")[0], body)
            return self.answers[key]

    def _read(self, path: str) -> Json:
        match path.split("/")[2:]:
            case ["invoices"]:
                return {"invoices": [*self.invoices.values()] if self.listed else []}
            case ["status"]:
                return {"height": 7, "index": {"height": 7}}
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
                for draft in drafts:
                    if draft["order_id"] in self.refused_orders:
                        raise Refusal(409, self.refused_orders[draft["order_id"]])
                return self._done(numbers=[self._add(draft["order_id"]) for draft in drafts])
            case ["invoices", number, "red"]:
                forms = self.invoices[number]["red_forms"]
                assert isinstance(forms, list)
                form = {"form": len(forms), "asked_by": "issuer", "state": "confirmed"}
                forms.append(form | {"amount": body["amount"], "number": None})
                return self._done()
            case ["invoices", number, "red", form, "issue"]:
                order_id = str(body["order_id"])
                if order_id in self.refused_orders:
                    raise Refusal(409, self.refused_orders[order_id])
                forms = self.invoices[number]["red_forms"]
                assert isinstance(forms, list)
                added = self._add(order_id)
                forms[int(form)] |= {"state": "issued", "number": added}
                return self._done(number=added)
            case _:
                raise Refusal(404, "NOT_FOUND")

    def _add(self, order_id: str) -> str:
        number = f"{len(self.invoices) + 1:020}"
        order = order_hash(ISSUER, order_id).hex()
        self.invoices[number] = {"number": number, "order": order, "red_forms": []}
        return number

    def _done(self, **more: object) -> Json:
        return {"transaction": "ab" * 32, "state": "committed", **more}


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
            body = json.loads(self.rfile.read(length) or b"{}")
            status = 200
            try:
                value = fake.handle(method, self.path, body, self.headers.get("Idempotency-Key"))
            except Refusal as refusal:
                status = refusal.status
                value = {"code": refusal.code, "detail": f"because of {refusal.code}"}
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
