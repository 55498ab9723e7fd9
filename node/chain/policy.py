"""A network's keys as other log tools take them: a c2sp.org/tlog-policy file. Owns its text.

    log <vkey> [<url>]          once for each voter: any origin key may sign a final checkpoint
    witness <name> <vkey>       each voter's cosign key
    group <name> <q> <name>…    enough of them make a checkpoint final
    quorum <name>

Names of witnesses and of the group have different beginnings, so no node's name can make two of
them equal, or equal to `none`, which the format reserves.
"""

from __future__ import annotations

from node.chain.voters import Voter, VoterSet


def policy_text(voters: VoterSet, url: str | None = None) -> str:
    """The policy file of a network.

    Args:
        voters: The voters in force.
        url: Prefix of a node that serves the log, for tools that read it.
    """
    logs = [f"log {origin_key(voter)}{f' {url}' if url else ''}" for voter in voters.voters]
    witnesses = [f"witness {_name(voter)} {cosigner_key(voter)}" for voter in voters.voters]
    group = f"any-{voters.q}-of-{voters.n}"
    members = " ".join(map(_name, voters.voters))
    lines = [
        f"# {voters.origin}",
        "# A checkpoint counts that one of these keys of the log signed,",
        *logs,
        f"# and that at least {voters.q} of the {voters.n} voters cosigned.",
        *witnesses,
        f"group {group} {voters.q} {members}",
        f"quorum {group}",
    ]
    return "\n".join(lines) + "\n"


def origin_key(voter: Voter) -> str:
    """The vkey of the key with which a voter's node signs as the log."""
    return voter.verifier_keys[1].encode()


def cosigner_key(voter: Voter) -> str:
    """The vkey of a voter's cosign key."""
    return voter.verifier_keys[0].encode()


def _name(voter: Voter) -> str:
    return f"voter-{voter.node}"
