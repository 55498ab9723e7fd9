"""Node cards: what a member tells the others so that a genesis can be assembled.

Owns the card's shape, the proof that its sender holds the keys, and the text of `network.toml`.
Knows no secret key and writes no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
import nacl.exceptions
from nacl.signing import SigningKey, VerifyKey
from stdnum.cn import uscc

from node.custody.keystore import NodeKeys
from node.ledger.genesis import VOTERS_MAX, GenesisError, HexKey, Name, RoleName, Terms
from node.ledger.genesis_file import parse_genesis
from node.ledger.operations import LAWS
from node.ledger.text import check_form, plain_reason, whole
from node.ledger.types import ROLE_NAMES, Code18, ParticipantName
from node.system.config import ADDRESS
from node.system.toml_text import TomlError, read_toml

_CARD_TAG = b"piaolian/card/v1\n"
CARD_BYTES_MAX = 16_384

TAX_RATES = (0, 100, 300, 500, 600, 900, 1300)
"""China's VAT and collection rates, in basis points, as the default of a new network."""

_Signature = Annotated[str, whole("[0-9a-f]{128}")]
_Address = Annotated[str, whole(ADDRESS.pattern, max_length=300)]


class CardError(ValueError):
    """The card is malformed, or its sender does not hold its keys."""


class NodeCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Public facts of one member's node, signed by its identity key and its signing key."""

    node: Name
    participant: Code18
    name: ParticipantName
    roles: Annotated[tuple[RoleName, ...], msgspec.Meta(min_length=1, max_length=len(ROLE_NAMES))]
    address: _Address
    identity_key: HexKey
    cosign_key: HexKey
    origin_key: HexKey
    signing_key: HexKey
    sealing_key: HexKey
    identity_signature: _Signature
    signing_signature: _Signature


def make_card(
    keys: NodeKeys,
    *,
    node: str,
    participant: str,
    name: str,
    roles: Sequence[str],
    address: str,
) -> NodeCard:
    """Make and sign a card.

    Raises:
        CardError: a field is out of its limits.
    """
    public = keys.public
    unsigned = NodeCard(
        node=node,
        participant=participant,
        name=name,
        roles=tuple(roles),
        address=address,
        identity_key=public.identity.hex(),
        cosign_key=public.cosign.hex(),
        origin_key=public.origin.hex(),
        signing_key=public.signing.hex(),
        sealing_key=public.sealing.hex(),
        identity_signature="0" * 128,
        signing_signature="0" * 128,
    )
    message = _signed_bytes(unsigned)
    card = msgspec.structs.replace(
        unsigned,
        identity_signature=SigningKey(keys.identity).sign(message).signature.hex(),
        signing_signature=SigningKey(keys.signing).sign(message).signature.hex(),
    )
    return parse_card(card_text(card))


def parse_card(text: str) -> NodeCard:
    """Read and verify a card.

    Raises:
        CardError: naming the field, or saying which signature does not match.
    """
    try:
        card = msgspec.convert(read_toml(text), NodeCard)
    except (TomlError, msgspec.MsgspecError, OverflowError) as error:
        raise CardError(f"no card: {plain_reason(error)}") from error
    unknown = [role for role in card.roles if role not in ROLE_NAMES]
    if unknown:
        raise CardError(f"card: unknown role {unknown[0]!r}; known: {', '.join(ROLE_NAMES)}")
    try:
        check_form(card.name)
    except ValueError as error:
        raise CardError(f"card: name {error}") from error
    if not uscc.is_valid(card.participant):
        raise CardError(f"card: participant {card.participant!r} fails its check digit")
    message = _signed_bytes(card)
    for field, key, signature in (
        ("identity_signature", card.identity_key, card.identity_signature),
        ("signing_signature", card.signing_key, card.signing_signature),
    ):
        try:
            VerifyKey(bytes.fromhex(key)).verify(message, bytes.fromhex(signature))
        except nacl.exceptions.BadSignatureError as error:
            raise CardError(f"card of {card.node}: {field} does not match") from error
    return card


def card_text(card: NodeCard) -> str:
    """The card as TOML."""
    lines = [
        "# Piaolian node card. It holds public keys and an address, no secret: hand it to the",
        "# member who assembles the network, over a channel that shows it is yours.",
    ]
    for field in card.__struct_fields__:
        value = getattr(card, field)
        lines.append(f"{field} = {_toml(list(value) if isinstance(value, tuple) else value)}")
    return "\n".join(lines) + "\n"


EVERY_PARTICIPANT = "all"
"""In the place of governors: each participant governs."""


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What members agree on beside their cards; what is left out is as the program chooses."""

    domains: tuple[str, ...] = tuple(law.name for law in LAWS)
    governors: tuple[str, ...] = ()
    """Participants' ids; the tax bureaus when there are none named."""
    threshold: int | None = None
    """Governors that must agree; more than half of them when not said."""
    terms: Mapping[str, int] = {}
    """By name: `validity_heights`, and `<domain>.<term>`."""


def network_text(
    cards: Sequence[NodeCard], *, name: str, created: str, choices: Choices | None = None
) -> str:
    """The `network.toml` of these members. Equal input gives equal text, in any order of cards.

    Raises:
        GenesisError: the members do not make a valid genesis.
    """
    if len(cards) > VOTERS_MAX:
        raise GenesisError(f"at most {VOTERS_MAX} nodes can vote; there are {len(cards)} cards")
    choices = choices or Choices()
    ordered = sorted(cards, key=lambda card: card.node)
    governors = _governors(ordered, choices)
    text = "\n".join(
        [
            _HEAD.format(
                name=_toml(name),
                created=_toml(created),
                domains=_toml(list(choices.domains)),
                rates=_toml(list(TAX_RATES)),
                governors=_toml(governors),
                threshold=_threshold(governors, choices),
            ),
            *_terms(choices),
            *_participants(ordered),
            _VOTERS_COMMENT,
            *(_voter(card) for card in ordered),
        ]
    )
    parse_genesis(text)
    return text


def _governors(cards: Sequence[NodeCard], choices: Choices) -> list[str]:
    participants = list(dict.fromkeys(card.participant for card in cards))
    if choices.governors == (EVERY_PARTICIPANT,):
        return participants
    for governor in choices.governors:
        if governor not in participants:
            raise GenesisError(f"governor {governor!r} is none of the participants of the cards")
    bureaus = [card.participant for card in cards if "tax_bureau" in card.roles]
    return list(choices.governors or dict.fromkeys(bureaus)) or participants[:1]


def _threshold(governors: Sequence[str], choices: Choices) -> int:
    if choices.threshold is None:
        return len(governors) // 2 + 1
    if not 1 <= choices.threshold <= len(governors):
        raise GenesisError(
            f"threshold {choices.threshold}: it must be 1 to {len(governors)}, the number of"
            " governors"
        )
    return choices.threshold


def _terms(choices: Choices) -> Iterator[str]:
    """The tables of terms, each complete, so that the file says all that is hashed."""
    given = dict(choices.terms)
    heights = given.pop("validity_heights", Terms().validity_heights)
    yield "[terms]\n# A transaction is valid for at most this many blocks."
    yield f"validity_heights = {heights}\n"
    kinds = {law.name: law.terms for law in LAWS}
    for domain in dict.fromkeys(choices.domains):
        kind = kinds.get(domain)
        if kind is None:
            continue  # the check of the whole file says what is wrong with an unknown one
        yield f"[terms.{domain}]\n# {kind.__doc__}"
        rows = [
            (f"{name} = {given.pop(f'{domain}.{name}', default)}", kind.meanings.get(name))
            for name, default in msgspec.structs.asdict(kind()).items()
        ]
        width = max(len(row) for row, _ in rows)
        yield "".join(
            f"{row:<{width}}  # {meaning}\n" if meaning else f"{row}\n" for row, meaning in rows
        )
    if given:
        known = [
            "validity_heights",
            *(
                f"{domain}.{name}"
                for domain in choices.domains
                for name in getattr(kinds.get(domain), "__struct_fields__", ())
            ),
        ]
        raise GenesisError(f"no term {min(given)!r} here; there are: {', '.join(known)}")


_HEAD = """\
# The genesis document of a Piaolian network. It must be the same on every node: its content
# (not its comments or layout) is hashed into the network id, which every signature covers.

[network]
name = {name}
created = {created}
# Quota and thresholds are counted in this currency (ISO 4217).
home_currency = "CNY"
rules_version = 1
# Whose rules hold here; what is of no other domain is refused.
domains = {domains}
# Tax rates in force, in basis points, until the tax bureau publishes others.
tax_rates = {rates}
# Who decides on members and voters, and how many of them must agree.
governors = {governors}
threshold = {threshold}
# Where days and months begin, in minutes ahead of UTC: 480 in China.
utc_offset_minutes = 0
"""

_VOTERS_COMMENT = """\
# The voters order the ledger and cosign it. Of n voters, (n - 1) // 3 may lie without harm to
# what is final: take 4 or 7. Each key has one role.
"""


def _participants(cards: Sequence[NodeCard]) -> list[str]:
    texts: list[str] = []
    seen: set[str] = set()
    for card in cards:
        if card.participant in seen:  # one participant may run several nodes
            continue
        seen.add(card.participant)
        texts.append(
            "[[participant]]\n"
            f"id = {_toml(card.participant)}\n"
            f"name = {_toml(card.name)}\n"
            f"roles = {_toml(list(card.roles))}\n"
            f"signing_key = {_toml(card.signing_key)}\n"
            f"sealing_key = {_toml(card.sealing_key)}\n"
        )
    return texts


def _voter(card: NodeCard) -> str:
    return (
        "[[voter]]\n"
        f"node = {_toml(card.node)}\n"
        f"participant = {_toml(card.participant)}\n"
        f"identity_key = {_toml(card.identity_key)}\n"
        f"cosign_key = {_toml(card.cosign_key)}\n"
        f"origin_key = {_toml(card.origin_key)}\n"
    )


def _toml(value: str | list[str] | list[int]) -> str:
    # A JSON string is a TOML string, once DEL is escaped too.
    if isinstance(value, list):
        return (
            f"[{', '.join(_toml(item) if isinstance(item, str) else str(item) for item in value)}]"
        )
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _signed_bytes(card: NodeCard) -> bytes:
    values = [
        getattr(card, field) for field in card.__struct_fields__ if not field.endswith("signature")
    ]
    return _CARD_TAG + msgspec.msgpack.encode(values)
