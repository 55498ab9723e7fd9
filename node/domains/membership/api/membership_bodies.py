"""Shapes of request bodies about who takes part: keys, proposals, regions. Strict, too."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from node.api.body import Body, HexKey, HexSignature, ParticipantCode
from node.ledger.text import check_line

Kind = Literal["signing", "sealing"]
RoleName = Literal[
    "tax_bureau",
    "issuer",
    "payer",
    "reimburser",
    "customs",
    "police",
    "central_bank",
    "bank",
    "forex",
    "procuratorate",
    "court",
    "market_regulator",
    "auditor",
]
ScopeName = Literal["issue", "hold", "reimburse", "register", "govern", "keys"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(check_line)]
ENDS_AFTER_DEFAULT = 1_000
"""Heights for which a rotated key still counts, so that what it has signed is applied."""
ENDS_AFTER_MIN = 100
"""A second at the fastest pace: fewer might have passed before the operation is applied."""


class AddKeyBody(Body):
    """Add a key of this node's participant."""

    kind: Kind
    key: HexKey
    scopes: list[ScopeName] = Field(
        default_factory=list, max_length=6, description="Of a signing key: at least one."
    )
    not_after: int | None = Field(
        None, ge=1, le=2**53, description="Last height at which it counts; null: no end."
    )
    proof: HexSignature | None = Field(
        None,
        description="Of a signing key: its own signature of `piaolian/key/v1\\n`, the network id, "
        "the participant's id and the key.",
    )


class RevokeKeyBody(Body):
    """End a key at once."""

    kind: Kind


class RotateKeyBody(Body):
    """Put a new key in the place of one, with its scope and end."""

    kind: Kind
    new: HexKey
    ends_after: int = Field(
        ENDS_AFTER_DEFAULT,
        ge=ENDS_AFTER_MIN,
        le=1_000_000,
        description="Heights from now for which the old key still counts.",
    )
    proof: HexSignature | None = Field(None, description="As when adding a key.")


class ProposalBody(Body):
    """Propose what happens to a participant."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"action": "suspend", "participant": "91350100M000100Y43", "reason": "case 7"}
            ]
        }
    )

    action: Literal["admit", "suspend", "reinstate", "retire", "change_roles"]
    participant: ParticipantCode
    name: Name | None = Field(None, description="To admit.")
    roles: list[RoleName] | None = Field(
        None, min_length=1, max_length=8, description="To admit, and to change roles."
    )
    signing_key: HexKey | None = Field(None, description="To admit: Ed25519.")
    sealing_key: HexKey | None = Field(None, description="To admit: X25519.")
    reason: Annotated[str, StringConstraints(max_length=256), AfterValidator(check_line)] = ""
    nonce: int | None = Field(
        None,
        ge=0,
        le=2**32 - 1,
        description="Tells it from an earlier proposal of the same words. Left out: the first that "
        "no closed one has.",
    )

    @model_validator(mode="after")
    def _fields_of_the_action(self) -> Self:
        needed = {
            "admit": {"name", "roles", "signing_key", "sealing_key"},
            "change_roles": {"roles"},
        }.get(self.action, set())
        for field in ("name", "roles", "signing_key", "sealing_key"):
            if (getattr(self, field) is not None) != (field in needed):
                verb = "needs" if field in needed else "takes no"
                raise ValueError(f"{self.action} {verb} {field}")
        return self


class VoteBody(Body):
    """A governor's vote."""

    approve: bool
