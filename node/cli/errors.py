"""How a command fails: a message for people and an exit code. Owns the mapping of known errors.

0 success, 1 refused or failed, 2 bad usage or configuration; `verify` alone has 3: a valid proof
that the ledger refused the transaction. 4 is no verdict of any command: its answer could not be
written, or the program itself failed.
"""

from __future__ import annotations

OK = 0
REFUSED = 1
USAGE = 2
REFUSED_TRANSACTION = 3
NO_ANSWER = 4


class CliError(Exception):
    """The command failed; the message is all that the user needs."""

    exit_code = REFUSED


class NoAnswerError(CliError):
    """The command could not do its work, so that 1 would be taken for its verdict."""

    exit_code = NO_ANSWER


class UsageError(CliError):
    """The command line or the configuration cannot be used."""

    exit_code = USAGE


def reason_of(error: Exception) -> str:
    """What went wrong, without the name of the file that the message begins with anyway."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def exit_code_of(error: Exception) -> int | None:
    """The exit code of an error that users cause; None for a fault of the program."""
    # Imported here: only a command that raised one of these has paid for the module already.
    from node.custody.keystore import KeystoreError
    from node.ledger.genesis import GenesisError
    from node.setup.cards import CardError
    from node.setup.network_files import NetworkFilesError
    from node.system.config import ConfigError
    from node.system.input_errors import InputError
    from node.voting.rejoin_word import RejoinFileError

    if isinstance(error, CliError):
        return error.exit_code
    usage = (
        CardError,
        ConfigError,
        GenesisError,
        KeystoreError,
        NetworkFilesError,
        RejoinFileError,
    )
    if isinstance(error, usage):
        return USAGE
    if isinstance(error, InputError | OSError):
        return REFUSED
    return None
