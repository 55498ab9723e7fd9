"""Faces and checks on four running nodes: who reads the lines, and what a stranger is told."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Member

pytestmark = pytest.mark.slow
ITEM = "绝密型号打印纸"


@pytest.fixture(scope="module")
def number(cluster: Cluster) -> str:
    body = {
        "order_id": "documents-1",
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "details": {"buyer": {"name": "福建海峡贸易有限公司"}},
        "lines": [{"description": ITEM, "quantity": "2", "net": 10_000, "rate": 1300}],
    }
    return str(cluster["issuer"].write("/v1/invoices", body)["number"])


def face(member: Member, number: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{member.port}/v1/invoices/{number}/face")
    token = (member.data.parent / "tokens" / "read.token").read_text().strip()
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=20) as response:
        return str(response.read().decode())


def raw(member: Member, path: str, scope: str, content: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{member.port}{path}", content)
    token = (member.data.parent / "tokens" / f"{scope}.token").read_text().strip()
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/octet-stream")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def verify(member: Member, number: str, gross: int, transaction: str) -> dict[str, Any]:
    query = f"number={number}&gross={gross}&hash={transaction}"
    address = f"http://127.0.0.1:{member.port}/v1/verify?{query}"
    with urllib.request.urlopen(address, timeout=20) as response:
        return dict(json.loads(response.read()))


def test_the_lines_are_on_the_faces_of_those_who_may_read_them(
    cluster: Cluster, number: str
) -> None:
    for name in ("issuer", "payer", "tax-bureau"):
        page = face(cluster[name], number)
        assert ITEM in page
        assert "福建海峡贸易有限公司" in page
        assert "壹佰壹拾叁元整" in page
    page = face(cluster["reimburser"], number)
    assert "The details are sealed" in page
    assert ITEM not in page
    assert "福建海峡贸易有限公司" not in page
    assert "壹佰壹拾叁元整" in page


def test_every_node_tells_a_stranger_the_same(cluster: Cluster, number: str) -> None:
    transaction = cluster["issuer"].get(f"/v1/invoices/{number}")["transaction"]
    for member in cluster.living:
        answer = verify(member, number, 11_300, transaction)
        assert (answer["result"], answer["final"]) == ("valid", True)
        assert answer["issuer"]["id"] == cluster["issuer"].participant
        assert verify(member, number, 11_301, transaction)["result"] == "mismatch"
    cluster["payer"].write(
        f"/v1/invoices/{number}/submit",
        {"to": cluster["reimburser"].participant, "amount": 11_300},
    )
    cluster["reimburser"].write(f"/v1/invoices/{number}/claim", {"amount": 4_000})
    for member in cluster.living:
        answer = verify(member, number, 11_300, transaction)
        assert answer["result"] == "locked"
        assert (answer["locked"], answer["available"]) == (4_000, 7_300)


def test_an_attachment_travels_sealed_to_the_readers_of_its_invoice(cluster: Cluster) -> None:
    content = "附件机密内容 planted attachment".encode() * 2_000
    name = hashlib.sha256(content).hexdigest()
    body = {
        "order_id": "documents-2",
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "groups": [{"rate": 1300, "net": 10_000}],
        "details": {
            "attachments": [
                {
                    "hash": name,
                    "name": "合同.pdf",
                    "media_type": "application/pdf",
                    "size": len(content),
                }
            ]
        },
    }
    refused = cluster["issuer"].ask("POST", "/v1/invoices?wait=final", body)
    assert (refused.status, refused.code) == (422, "INVALID_FIELDS")
    assert raw(cluster["issuer"], "/v1/attachments", "operate", content)[0] == 201
    number = cluster["issuer"].write("/v1/invoices", body)["number"]
    path = f"/v1/attachments/{name}?invoice={number}"
    for reader in ("issuer", "payer", "tax-bureau"):
        assert raw(cluster[reader], path, "read") == (200, content)
    assert raw(cluster["reimburser"], path, "read")[0] == 404

    cluster["payer"].write(
        f"/v1/invoices/{number}/submit",
        {"to": cluster["reimburser"].participant, "amount": 11_300},
    )
    assert raw(cluster["reimburser"], path, "read") == (200, content), "let in with the details"
    files = [file for file in cluster["reimburser"].data.rglob("*") if file.is_file()]
    assert files
    assert not any(b"planted attachment" in file.read_bytes() for file in files)
