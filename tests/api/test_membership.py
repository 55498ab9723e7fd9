"""Keys, proposals, regions and suspended issuing over HTTP: what becomes of each request."""

from __future__ import annotations

import msgspec
import pytest

from node.api.security import Scope as TokenScope
from node.ledger.codes import Table
from node.ledger.invoices.bureau.operations import AllotRegion, ResumeIssuing, SuspendIssuing
from node.ledger.invoices.bureau.region_rows import RangeRow, RegionsRow, regions_key
from node.ledger.membership.governance import proposal_id
from node.ledger.membership.operations import (
    Action,
    AddKey,
    Admit,
    ChangeRoles,
    KeyKind,
    Propose,
    Retire,
    RevokeKey,
    RotateKey,
    Suspend,
    Vote,
    WithdrawProposal,
)
from node.ledger.membership.rows import (
    GOVERNANCE_KEY,
    GovernanceRow,
    GovernorRow,
    ProposalRow,
    ProposalState,
)
from node.ledger.operations import DirectOperation
from node.ledger.participants import ALL_SCOPES, NO_END, KeyRow, ParticipantRow, Scope
from node.ledger.row_codec import encode_row
from node.ledger.types import Role
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, ISSUER, START_MS, FakeNode

NUMBER = "26440000000000000001"
KEY, OTHER = "ab" * 32, "cd" * 32
PROOF = "ef" * 64
IDENTITY = bytes(range(16))
PATH = f"/v1/proposals/{IDENTITY.hex()}"
KEYS = "/v1/participants/self/keys"


def put_proposal(
    node: FakeNode,
    identity: bytes = IDENTITY,
    *,
    action: Action | None = None,
    expires: int = 2**50,
    state: ProposalState = ProposalState.OPEN,
) -> None:
    row = ProposalRow(
        identity, ISSUER, action or Suspend(BUYER), "why", START_MS, expires, (ISSUER,), (), state
    )
    node.rows[Table.PROPOSAL, identity] = encode_row(row)


OPERATIONS: list[tuple[str, dict[str, object], object]] = [
    (
        KEYS,
        {"kind": "signing", "key": KEY, "scopes": ["issue", "hold"], "proof": PROOF},
        AddKey(
            KeyKind.SIGNING,
            bytes.fromhex(KEY),
            int(Scope.ISSUE | Scope.HOLD),
            NO_END,
            bytes.fromhex(PROOF),
        ),
    ),
    (
        KEYS,
        {"kind": "sealing", "key": KEY, "not_after": 70},
        AddKey(KeyKind.SEALING, bytes.fromhex(KEY), 0, 70, b""),
    ),
    (
        f"{KEYS}/{KEY}/revoke",
        {"kind": "signing"},
        RevokeKey(KeyKind.SIGNING, bytes.fromhex(KEY)),
    ),
    (
        f"{KEYS}/{KEY}/rotate",
        {"kind": "signing", "new": OTHER, "ends_after": 500, "proof": PROOF},
        RotateKey(
            KeyKind.SIGNING, bytes.fromhex(KEY), bytes.fromhex(OTHER), 500, bytes.fromhex(PROOF)
        ),
    ),
    (
        "/v1/proposals",
        {
            "action": "admit",
            "participant": BUYER,
            "name": "买方",
            "roles": ["payer", "issuer"],
            "signing_key": KEY,
            "sealing_key": OTHER,
            "reason": "new",
        },
        Propose(
            Admit(
                BUYER,
                "买方",
                (Role.ISSUER, Role.PAYER),
                bytes.fromhex(KEY),
                bytes.fromhex(OTHER),
            ),
            "new",
            0,
        ),
    ),
    (
        "/v1/proposals",
        {"action": "retire", "participant": BUYER, "nonce": 3},
        Propose(Retire(BUYER), "", 3),
    ),
    (
        "/v1/proposals",
        {"action": "change_roles", "participant": BUYER, "roles": ["bank"]},
        Propose(ChangeRoles(BUYER, (Role.BANK,)), "", 0),
    ),
    (f"{PATH}/vote", {"approve": True}, Vote(IDENTITY, BUYER, True)),
    (f"{PATH}/withdraw", {}, WithdrawProposal(IDENTITY)),
    (
        "/v1/regions",
        {"bureau": BUYER, "first": NUMBER, "count": 9},
        AllotRegion(BUYER, NUMBER, 9),
    ),
    (f"/v1/issuers/{BUYER}/suspend", {"case": "C 1"}, SuspendIssuing(BUYER, "C 1")),
    (f"/v1/issuers/{BUYER}/resume", {"case": "C 1"}, ResumeIssuing(BUYER, "C 1")),
]


@pytest.mark.parametrize(("path", "body", "expected"), OPERATIONS)
async def test_each_write_becomes_its_operation(
    api: ApiClient, node: FakeNode, path: str, body: dict[str, object], expected: object
) -> None:
    put_proposal(node)
    answer = await api.post(f"{path}?wait=committed", body, scope=TokenScope.ADMIN)

    assert answer.status == 201, answer.json
    assert node.operations == [expected]
    msgspec.msgpack.decode(msgspec.msgpack.encode(expected), type=DirectOperation)
    if isinstance(expected, Propose):
        assert answer.json["proposal"] == proposal_id(ISSUER, expected).hex()


async def test_the_same_is_proposed_again_once_the_earlier_one_is_closed(
    api: ApiClient, node: FakeNode
) -> None:
    def made(nonce: int) -> Propose:
        return Propose(Suspend(BUYER), "", nonce)

    async def propose() -> tuple[object, str]:
        body = {"action": "suspend", "participant": BUYER}
        path = "/v1/proposals?wait=committed"
        answer = await api.post(path, body, scope=TokenScope.ADMIN)
        return node.operations[-1], answer.json["proposal"]

    identities = [proposal_id(ISSUER, made(nonce)) for nonce in range(40)]
    assert await propose() == (made(0), identities[0].hex())
    put_proposal(node, identities[0], expires=START_MS * 2)
    assert await propose() == (made(0), identities[0].hex())  # it is open: one to vote on
    put_proposal(node, identities[0], expires=START_MS - 1)
    assert await propose() == (made(1), identities[1].hex())
    for identity in identities[1:]:
        put_proposal(node, identity, state=ProposalState.CARRIED)
    assert (await propose())[0] == made(40)


async def test_a_repeated_write_names_what_it_proposed_first(
    api: ApiClient, node: FakeNode
) -> None:
    body = {"action": "suspend", "participant": BUYER}
    headers = {"Idempotency-Key": "k"}
    path = "/v1/proposals?wait=committed"
    first = await api.post(path, body, scope=TokenScope.ADMIN, headers=headers)
    put_proposal(node, bytes.fromhex(first.json["proposal"]), state=ProposalState.CARRIED)
    again = await api.post(path, body, scope=TokenScope.ADMIN, headers=headers)
    assert again.json == first.json


WRONG: list[tuple[str, dict[str, object], str]] = [
    (KEYS, {"kind": "signing", "key": KEY[:-1]}, "/key"),
    (KEYS, {"kind": "other", "key": KEY}, "/kind"),
    (KEYS, {"kind": "signing", "key": KEY, "scopes": ["everything"]}, "/scopes/0"),
    (KEYS, {"kind": "signing", "key": KEY, "not_after": 0}, "/not_after"),
    (f"{KEYS}/{KEY}/rotate", {"kind": "signing", "new": OTHER, "ends_after": 99}, "/ends_after"),
    ("/v1/proposals", {"action": "admit", "participant": BUYER}, ""),
    ("/v1/proposals", {"action": "suspend", "participant": BUYER, "name": "x"}, ""),
    ("/v1/proposals", {"action": "suspend", "participant": "x"}, "/participant"),
    (f"{PATH}/vote", {"approve": "yes"}, "/approve"),
    (f"/v1/issuers/{BUYER}/suspend", {"case": ""}, "/case"),
]


@pytest.mark.parametrize(("path", "body", "where"), WRONG)
async def test_wrong_fields_are_422_with_their_path(
    api: ApiClient, node: FakeNode, path: str, body: dict[str, object], where: str
) -> None:
    put_proposal(node)
    answer = await api.post(path, body, scope=TokenScope.ADMIN)

    assert answer.status == 422
    assert where in [error["path"] for error in answer.json["errors"]]
    assert node.operations == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/proposals/{'00' * 16}"),
        ("GET", "/v1/proposals/7"),
        ("POST", f"/v1/proposals/{'00' * 16}/vote"),
        ("POST", f"/v1/proposals/{'00' * 16}/withdraw"),
        ("GET", f"/v1/participants/{BUYER}"),
        ("GET", "/v1/participants/self"),
        ("POST", f"{KEYS}/12/revoke"),
        ("POST", "/v1/issuers/12/suspend"),
    ],
)
async def test_what_is_not_there_is_404(api: ApiClient, method: str, path: str) -> None:
    body = {"approve": True} if path.endswith("vote") else {}
    if method == "GET":
        answer = await api.get(path)
    else:
        answer = await api.post(path, body, scope=TokenScope.ADMIN)
    assert answer.status == 404


async def test_keys_and_votes_need_the_admin_scope(api: ApiClient, node: FakeNode) -> None:
    put_proposal(node)
    for path in (f"{PATH}/vote", "/v1/proposals", KEYS):
        assert (await api.post(path, {}, scope=TokenScope.OPERATE)).status == 403


async def test_a_participant_is_shown_with_keys_scopes_and_ends(
    api: ApiClient, node: FakeNode
) -> None:
    await node.commit()
    height = node.heights().committed
    keys = (
        KeyRow(b"a" * 32),
        KeyRow(b"b" * 32, int(Scope.ISSUE), height),
        KeyRow(b"c" * 32, int(Scope.HOLD), height + 1, revoked=1),
    )
    row = ParticipantRow(
        ISSUER, "甲", (Role.ISSUER,), keys, (KeyRow(b"s" * 32, 0),), issuing_case="C 1"
    )
    node.rows[Table.PARTICIPANT, ISSUER.encode()] = encode_row(row)

    shown = (await api.get(f"/v1/participants/{ISSUER}")).json

    assert shown == (await api.get("/v1/participants")).json["participants"][0]
    assert (shown["state"], shown["issuing_case"], shown["head_bureau"]) == ("active", "C 1", False)
    assert [
        (k["scopes"], k["not_after"], k["revoked_height"], k["live"]) for k in shown["signing_keys"]
    ] == [
        (["issue", "hold", "reimburse", "register", "govern", "keys"], None, None, True),
        (["issue"], height, None, False),
        (["hold"], height + 1, 1, False),
    ]
    assert shown["sealing_keys"][0]["key"] == (b"s" * 32).hex()
    assert keys[0].scope == ALL_SCOPES


async def test_proposals_are_listed_with_state_votes_and_who_decides(
    api: ApiClient, node: FakeNode
) -> None:
    await node.commit()
    put_proposal(node, bytes(16), expires=START_MS - 1)
    put_proposal(node, action=ChangeRoles(BUYER, (Role.BANK,)))
    put_proposal(node, b"z" * 16, state=ProposalState.CARRIED)
    node.rows[Table.META, GOVERNANCE_KEY] = encode_row(
        GovernanceRow((GovernorRow(ISSUER, True), GovernorRow(BUYER, False)), 1)
    )

    page = (await api.get("/v1/proposals")).json
    carried = (await api.get("/v1/proposals?state=carried")).json["proposals"]
    one = (await api.get(PATH)).json

    assert [p["state"] for p in page["proposals"]] == ["expired", "open", "carried"]
    assert [p["id"] for p in carried] == [(b"z" * 16).hex()]
    assert page["governance"] == {
        "governors": [
            {"participant": ISSUER, "active": True},
            {"participant": BUYER, "active": False},
        ],
        "threshold": 1,
    }
    assert one == page["proposals"][1]
    assert one["action"] == {"kind": "change_roles", "participant": BUYER, "roles": ["bank"]}
    assert (one["approvals"], one["rejections"], one["decided_height"]) == ([ISSUER], [], None)


async def test_proposals_page_by_id(api: ApiClient, node: FakeNode) -> None:
    for n in range(3):
        put_proposal(node, bytes([n]) * 16)
    first = (await api.get("/v1/proposals?limit=2")).json
    second = (await api.get(f"/v1/proposals?limit=2&cursor={first['next_cursor']}")).json
    seen = [p["id"][:2] for p in first["proposals"] + second["proposals"]]
    assert (seen, "next_cursor" in second) == (["00", "01", "02"], False)


async def test_regions_are_read_from_the_state(api: ApiClient, node: FakeNode) -> None:
    node.rows[Table.REGION, regions_key(BUYER)] = encode_row(
        RegionsRow(BUYER, (RangeRow(NUMBER, NUMBER),))
    )
    node.rows[Table.REGION, b"n" + NUMBER.encode()] = b"not read"
    assert (await api.get("/v1/regions")).json == {
        "regions": [{"bureau": BUYER, "ranges": [{"first": NUMBER, "last": NUMBER}]}]
    }
