"""A story told over a fresh network: its network, its console, the facts for `--json`.

Owns what begins and ends every story; the steps are the subclasses'.
"""

from __future__ import annotations

from pathlib import Path

from node.cli.errors import CliError
from node.cli.output import console, message, print_json
from node.demo.demo_network import DemoNetwork, clear

BUREAU, ISSUER, PAYER, REIMBURSER = NODES = ("tax-bureau", "issuer", "payer", "reimburser")


class Story:
    """What is told, and what was learnt from it."""

    def __init__(self, network: DemoNetwork, source: Path, *, quiet: bool) -> None:
        self._network = network
        self._source = source
        """The file that is imported."""
        self._console = console(to_stderr=quiet)
        self.facts: dict[str, object] = {}
        """What was seen, for `--json`."""

    def run(self) -> None:
        """All steps."""
        raise NotImplementedError

    def close(self, *, keep: bool) -> None:
        """Say what a person may do next, with the network running or about to stop."""

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False)


def tell(story: type[Story], folder: Path, source: Path, *, keep: bool, as_json: bool) -> None:
    """Tell a story in `folder`.

    Raises:
        UsageError: the folder holds something else.
        CliError: a step failed; the nodes' logs stay in the folder.
    """
    clear(folder, NODES)
    network = DemoNetwork(folder)
    told = story(network, source, quiet=as_json)
    try:
        told.run()
        if as_json:
            print_json(told.facts)
        else:
            told.close(keep=keep)
    except CliError:
        message(f"piaolian: the logs of the nodes are {folder}/*/node.log")
        raise
    finally:
        network.close(stop=not keep)
