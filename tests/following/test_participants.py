"""Who may author and whom to seal to, as blocks change it; which key of the file signs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from node.custody.keyring import Keyring
from node.custody.keystore import INTERACTIVE, KeyFile, NodeKeys, generate_keys, save_keys
from node.custody.signer import Signer
from node.following.outcomes import RefusedError
from node.following.participants import Participants
from node.ledger.codes import Code
from node.ledger.genesis import Genesis
from node.ledger.invoices import operations as ops
from node.ledger.participants import ALL_SCOPES, KeyRow, ParticipantRow, ParticipantState, Scope
from node.ledger.row_codec import encode_row
from node.ledger.signing import public_key
from node.ledger.types import Role
from node.sealing.format import sealing_key
from node.sealing.recipients import Recipients
from node.submission.admission import Admission, VerifiedCache
from tests.chain.network import AUTHOR, make_genesis
from tests.node.transactions import make_transaction

PASSPHRASE = b"correct horse"
OLD, NEW = bytes([1]) * 32, bytes([2]) * 32
ISSUE = ops.CancelInvoice("0" * 20, "")
HOLD = ops.SignOffer("0" * 20)


def row(
    *keys: KeyRow,
    state: ParticipantState = ParticipantState.ACTIVE,
    sealing: Sequence[KeyRow] = (),
    **changed: object,
) -> ParticipantRow:
    made = ParticipantRow(AUTHOR, "name", (Role.ISSUER,), tuple(keys), tuple(sealing), state)
    return replace(made, **changed)


def key(
    seed: bytes, *, not_after: int = 1_000, revoked: int = 0, scope: int = ALL_SCOPES
) -> KeyRow:
    return KeyRow(public_key(seed), scope, not_after, revoked)


@pytest.fixture
def genesis() -> Genesis:
    return make_genesis()


@pytest.fixture
def members(genesis: Genesis) -> Participants:
    return Participants(genesis)


def test_keys_count_for_the_next_block(members: Participants) -> None:
    members.applied(9, [encode_row(row(key(OLD, not_after=10), key(NEW, revoked=9)))])
    assert members.refusal(AUTHOR, public_key(OLD)) is Code.OK
    assert members.refusal(AUTHOR, public_key(NEW)) is Code.UNKNOWN_AUTHOR
    members.applied(10, ())
    assert members.refusal(AUTHOR, public_key(OLD)) is Code.UNKNOWN_AUTHOR
    assert members.refusal("9" * 18, public_key(OLD)) is Code.UNKNOWN_AUTHOR


@pytest.mark.parametrize("state", [ParticipantState.SUSPENDED, ParticipantState.RETIRED])
def test_who_is_not_active_is_refused_by_name(
    members: Participants, state: ParticipantState
) -> None:
    members.applied(1, [encode_row(row(key(OLD), state=state))])
    assert members.refusal(AUTHOR, public_key(OLD)) is Code.AUTHOR_NOT_ACTIVE


def test_a_verified_transaction_is_refused_once_its_key_is_revoked(
    genesis: Genesis, members: Participants
) -> None:
    admission = Admission(genesis, members, VerifiedCache(), lambda _: False)
    wire = make_transaction(1, network=genesis.network_id, author=AUTHOR, seed=OLD).wire
    codes = []
    for height, revoked in ((1, 0), (2, 2)):
        members.applied(height, [encode_row(row(key(OLD, revoked=revoked)))])
        codes.append(admission.judge([wire], height)[0].code)
    assert codes == [Code.OK, Code.UNKNOWN_AUTHOR]


def test_details_are_sealed_to_the_newest_live_keys(members: Participants) -> None:
    sealing = [KeyRow(bytes([n]) * 32, 0, 1_000, 5 if n == 3 else 0) for n in range(5)]
    members.applied(9, [encode_row(row(key(OLD), sealing=sealing))])
    assert members.sealing_keys(AUTHOR) == [bytes([4]) * 32, bytes([2]) * 32]
    assert members.sealing_keys("ab" * 32) == []


def test_bureaus_follow_roles_and_states_heads_first(members: Participants) -> None:
    region = row(key(OLD), roles=(Role.TAX_BUREAU,))
    head = replace(region, id="9" * 18, head_bureau=True)
    assert Recipients(members).bureaus() == []
    members.applied(1, [encode_row(region), encode_row(head)])
    assert Recipients(members).bureaus() == ["9" * 18, AUTHOR]
    members.applied(2, [encode_row(replace(region, state=ParticipantState.RETIRED))])
    assert Recipients(members).bureaus() == ["9" * 18]


# --- Which key signs --------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_keys(tmp_path / "keys", replace(generate_keys(), signing=OLD), PASSPHRASE, INTERACTIVE)
    return tmp_path / "keys"


def signer_of(path: Path, members: Participants) -> Signer:
    return opened(path, members)[0]


def opened(path: Path, members: Participants) -> tuple[Signer, Keyring]:
    file = KeyFile.open(path, PASSPHRASE)
    keyring = Keyring(file.keys.sealing_seeds[::-1])
    return Signer(file, AUTHOR, members, keyring), keyring


def add_to_file(path: Path, **more: tuple[bytes, ...]) -> NodeKeys:
    """What another process does before it sends a rotation."""
    file = KeyFile.open(path, PASSPHRASE)
    file.replace(replace(file.keys, **more))
    return file.keys


def test_a_rotated_key_signs_once_it_is_on_the_ledger(path: Path, members: Participants) -> None:
    signer = signer_of(path, members)
    members.applied(1, [encode_row(row(key(OLD)))])
    add_to_file(path, more_signing=(NEW,))
    assert signer.signing_key([ISSUE])[32:] == public_key(OLD)
    members.applied(2, [encode_row(row(key(OLD, not_after=20), key(NEW)))])
    signer.follow()
    assert signer.signing_key([ISSUE])[32:] == public_key(NEW)


def test_a_node_that_stopped_between_file_and_ledger_signs_with_the_old_key(
    path: Path, members: Participants
) -> None:
    members.applied(1, [encode_row(row(key(OLD)))])
    add_to_file(path, more_signing=(NEW,))
    assert signer_of(path, members).signing_key([ISSUE])[32:] == public_key(OLD)


def test_the_newest_key_in_scope_signs(path: Path, members: Participants) -> None:
    add_to_file(path, more_signing=(NEW,))
    signer = signer_of(path, members)
    members.applied(1, [encode_row(row(key(OLD), key(NEW, scope=int(Scope.ISSUE))))])
    assert signer.signing_key([ISSUE])[32:] == public_key(NEW)
    assert signer.signing_key([HOLD])[32:] == public_key(OLD)
    assert signer.signing_key([ISSUE, HOLD])[32:] == public_key(OLD)
    members.applied(2, [encode_row(row(key(NEW, scope=int(Scope.ISSUE))))])
    with pytest.raises(RefusedError) as refused:
        signer.signing_key([HOLD])
    assert refused.value.code is Code.KEY_SCOPE


def test_a_node_that_is_not_active_signs_nothing(path: Path, members: Participants) -> None:
    signer = signer_of(path, members)
    members.applied(1, [encode_row(replace(row(key(OLD)), state=ParticipantState.SUSPENDED))])
    with pytest.raises(RefusedError) as refused:
        signer.signing_key([ISSUE])
    assert refused.value.code is Code.AUTHOR_NOT_ACTIVE
    members.applied(2, [encode_row(row(key(OLD)))])
    assert signer.signing_key([ISSUE])[32:] == public_key(OLD)


def test_without_a_live_key_nothing_is_signed(path: Path, members: Participants) -> None:
    signer = signer_of(path, members)
    members.applied(1, [encode_row(row(key(OLD, revoked=1)))])
    with pytest.raises(RefusedError) as refused:
        signer.signing_key([ISSUE])
    assert refused.value.code is Code.UNKNOWN_AUTHOR


def test_an_unreadable_key_file_leaves_the_keys_that_are_held(
    path: Path, members: Participants
) -> None:
    signer = signer_of(path, members)
    path.unlink()
    members.applied(1, [encode_row(row(key(OLD), key(NEW)))])
    assert signer.signing_key([ISSUE])[32:] == public_key(OLD)


def test_a_seed_put_into_the_file_after_the_ledger_lists_it_is_found(
    path: Path, members: Participants
) -> None:
    signer = signer_of(path, members)
    members.applied(1, [encode_row(row(key(NEW)))])
    signer.follow()
    add_to_file(path, more_signing=(NEW,))
    assert signer.signing_key([ISSUE])[32:] == public_key(NEW)


def test_a_rotated_sealing_key_opens_and_the_salt_secret_stays(
    path: Path, members: Participants
) -> None:
    signer, keyring = opened(path, members)
    first = keyring.salt_secret
    old = set(keyring.keys)
    add_to_file(path, more_sealing=(NEW,))
    new = sealing_key(NEW).public
    members.applied(1, [encode_row(row(key(OLD), sealing=[KeyRow(new, 0)]))])
    signer.follow()
    assert set(keyring.keys) == old | {new}
    assert (keyring.present.public, keyring.salt_secret) == (new, first)
