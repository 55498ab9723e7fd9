"""`piaolian key …`: the node's key file, and its participant's keys on the ledger.

A new seed goes into the key file before the operation that names it is sent: if the command, the
node or the network stops in between, the node still signs, and the command can be given again.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from node.cli.client import ApiClient
from node.cli.context import client_of, connect, load
from node.cli.errors import UsageError
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_fields, print_json, print_table
from node.cli.writes import Write, write_command

if TYPE_CHECKING:
    from node.custody.keystore import KeyFile

key = typer.Typer(no_args_is_help=True, help="A node's key file, and its participant's keys.")

_SELF = "/v1/participants/self/keys"
ENDS_AFTER = 1_000
"""Heights for which a rotated key still counts, so that what it has signed is applied."""


class Kind(StrEnum):
    """What a key is for."""

    SIGNING = "signing"
    SEALING = "sealing"


class KeyScope(StrEnum):
    """What a signing key may be used for."""

    ISSUE = "issue"
    HOLD = "hold"
    REIMBURSE = "reimburse"
    REGISTER = "register"
    GOVERN = "govern"
    KEYS = "keys"


OfKind = Annotated[Kind, typer.Option(help="Ed25519 to sign, or X25519 to open details.")]


@key.command(epilog=example("piaolian key show --config net/issuer/node.toml"))
def show(config: Config = None, as_json: Json = False) -> None:
    """Show the public keys of the key file; needs the passphrase."""
    from node.custody.keystore import open_keystore

    loaded = load(config)
    keys = open_keystore(loaded.keys.file, loaded.keys.passphrase_file)
    public = keys.public
    result: dict[str, object] = {
        field: getattr(public, field).hex() for field in public.__struct_fields__
    }
    for name, more in (("more_signing", keys.more_signing), ("more_sealing", keys.more_sealing)):
        if more:
            kind = Kind.SIGNING if name == "more_signing" else Kind.SEALING
            result[name] = [_public(kind, seed) for seed in more]
    if as_json:
        print_json(result)
    else:
        print_fields(result)


@key.command(epilog=example("piaolian key backup /media/safe/issuer.keys"))
def backup(
    target: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Copy the encrypted key file, after checking that the passphrase opens it.

    The copy is as secret as its passphrase, which is not in it. Make a new one after each rotation.
    """
    from node.custody.keystore import copy_keys, open_keystore

    loaded = load(config)
    open_keystore(loaded.keys.file, loaded.keys.passphrase_file)
    copy_keys(loaded.keys.file, target)
    if as_json:
        print_json({"backup": str(target)})
    else:
        message(f"backed up to {target}; keep the passphrase elsewhere")


@key.command("list", epilog=example("piaolian key list --json"))
def list_keys(
    participant: Annotated[str | None, typer.Option(help="Default: this node's own.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List a participant's keys on the ledger: scopes, ends, whether they are live."""
    with connect(config) as client:
        who = participant or str(client.get("/v1/status").fields["participant"])
        row = client.get(f"/v1/participants/{who}").fields
    keys = [{"kind": kind.value, **entry} for kind in Kind for entry in _listed(row, kind)]
    if as_json:
        print_json({"participant": who, "keys": keys})
    else:
        print_table(keys, ["kind", "key", "scopes", "not_after", "revoked_height", "live"])


@write_command(
    key,
    scope="admin",
    epilog=example("piaolian key rotate", "piaolian key rotate --kind sealing --ends-after 100000"),
)
def rotate(
    kind: OfKind = Kind.SIGNING,
    old: Annotated[
        str | None, typer.Option(help="Public key to replace. Default: the newest live one held.")
    ] = None,
    ends_after: Annotated[
        int,
        whole_option(least=100, most=1_000_000, about="Heights for which the old one counts."),
    ] = ENDS_AFTER,
    config: Config = None,
) -> Write:
    """Make a new key, put it in the place of an old one, and sign with it from then on.

    The node takes up the new key by itself; no restart is needed.
    """
    loaded = load(config)
    file = _open(loaded.keys.file, loaded.keys.passphrase_file)
    with client_of(loaded, "admin") as client:
        status, row = _own(client)
        entries = _listed(row, kind)
        replaced = old or _newest_held(file, kind, entries)
        new, proof = _new_key(file, kind, entries, status)
    body = {"kind": kind.value, "new": new, "ends_after": ends_after, "proof": proof}
    return Write(f"{_SELF}/{replaced}/rotate", body, {"old": replaced, "new": new})


@write_command(
    key, scope="admin", epilog=example("piaolian key add --scope issue --not-after 2000000")
)
def add(
    kind: OfKind = Kind.SIGNING,
    scope: Annotated[
        list[KeyScope] | None, typer.Option(help="Repeatable. Default: all, for a signing key.")
    ] = None,
    not_after: Annotated[
        int | None, whole_option(least=1, about="Last height at which it counts. Default: no end.")
    ] = None,
    public: Annotated[
        str | None, typer.Option("--key", help="A public key held elsewhere. Default: a new one.")
    ] = None,
    proof: Annotated[
        str | None, typer.Option(help="Of a signing key held elsewhere: its own signature.")
    ] = None,
    config: Config = None,
) -> Write:
    """Add a key of this node's participant: a new one in the key file, or one held elsewhere."""
    scopes = [] if kind is Kind.SEALING else [str(s) for s in scope or KeyScope]
    loaded = load(config)
    if public is None:
        with client_of(loaded, "admin") as client:
            status, row = _own(client)
        file = _open(loaded.keys.file, loaded.keys.passphrase_file)
        public, proof = _new_key(file, kind, _listed(row, kind), status)
    body = {
        "kind": kind.value,
        "key": public,
        "scopes": scopes,
        "not_after": not_after,
        "proof": proof,
    }
    return Write(_SELF, body, {"key": public})


@write_command(key, scope="admin", epilog=example("piaolian key revoke 3b6a…29 --kind signing"))
def revoke(
    public: Annotated[str, typer.Argument(metavar="KEY", help="Public key, hex.")],
    kind: OfKind = Kind.SIGNING,
) -> Write:
    """End a key at once, on every node; what it has signed and is not applied yet is refused."""
    path = f"{_SELF}/{public}/revoke"
    return Write(path, {"kind": kind.value})


# --- The key file -----------------------------------------------------------------------------


def _open(path: Path, passphrase_file: Path | None) -> KeyFile:
    from node.custody.keystore import open_key_file

    return open_key_file(path, passphrase_file)


def _own(client: ApiClient) -> tuple[dict[str, object], dict[str, object]]:
    """Status of the node, and its participant's row."""
    status = client.get("/v1/status").fields
    return status, client.get(f"/v1/participants/{status['participant']}").fields


def _listed(row: dict[str, object], kind: Kind) -> list[dict[str, object]]:
    """The keys of a kind that the ledger lists, oldest first."""
    return cast("list[dict[str, object]]", row[f"{kind.value}_keys"])


def _seeds(file: KeyFile, kind: Kind) -> tuple[bytes, ...]:
    return file.keys.signing_seeds if kind is Kind.SIGNING else file.keys.sealing_seeds


def _public(kind: Kind, seed: bytes) -> str:
    from nacl.public import PrivateKey

    from node.ledger.signing import public_key

    return (public_key(seed) if kind is Kind.SIGNING else bytes(PrivateKey(seed).public_key)).hex()


def _newest_held(file: KeyFile, kind: Kind, entries: list[dict[str, object]]) -> str:
    held = {_public(kind, seed) for seed in _seeds(file, kind)}
    live = [str(entry["key"]) for entry in entries if entry["live"] and entry["key"] in held]
    if not live:
        raise UsageError(f"the key file holds no live {kind.value} key; name one with --old")
    return live[-1]


def _new_key(
    file: KeyFile, kind: Kind, entries: list[dict[str, object]], status: dict[str, object]
) -> tuple[str, str | None]:
    """A seed of the file that the ledger does not list yet, else a new one put into the file.

    The first is what an earlier command left that did not come to its end. Returns the public key
    and, of a signing key, its proof.
    """
    from node.ledger.membership.keys import possession_message
    from node.ledger.signing import sign

    listed = {str(entry["key"]) for entry in entries}
    seed = _pending(file, kind, listed) or _generate(file, kind)
    public = _public(kind, seed)
    if kind is Kind.SEALING:
        return public, None
    network = bytes.fromhex(str(status["network_id"]))
    message = possession_message(network, str(status["participant"]), bytes.fromhex(public))
    return public, sign(seed, message).hex()


def _pending(file: KeyFile, kind: Kind, listed: set[str]) -> bytes | None:
    """The first seed after all that are listed: older ones may have left the ledger's list."""
    pending: bytes | None = None
    for seed in reversed(_seeds(file, kind)):
        if _public(kind, seed) in listed:
            return pending
        pending = seed
    return None


def _generate(file: KeyFile, kind: Kind) -> bytes:
    import secrets

    from msgspec.structs import replace

    from node.custody.keystore import KEYS_OF_A_KIND_MAX

    if len(_seeds(file, kind)) >= KEYS_OF_A_KIND_MAX:
        raise UsageError(f"the key file holds {KEYS_OF_A_KIND_MAX} {kind.value} keys already")
    seed = secrets.token_bytes(32)
    keys = file.keys
    if kind is Kind.SIGNING:
        file.replace(replace(keys, more_signing=(*keys.more_signing, seed)))
    else:
        file.replace(replace(keys, more_sealing=(*keys.more_sealing, seed)))
    return seed
