"""`piaolian demo`: four nodes through the main job, told step by step. Owns the story.

The steps stand in `Demo.run` in their order; each is one method that does it and says what came
of it. What a step finds wrong raises `DemoError`: the demo never prints what it did not see.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from typing_extensions import override

import node
from node.cli.client import ProblemError
from node.cli.errors import UsageError
from node.cli.options import Until
from node.cli.output import nearby, program
from node.cli.proofs import check_file
from node.demo.demo_network import PATIENCE_S, DemoError
from node.demo.demo_registers import NUMBERS, exchange_rate, open_registers
from node.demo.processes import start_nodes
from node.demo.story import BUREAU, ISSUER, NODES, PAYER, REIMBURSER, Story, tell
from node.domains.invoices.cli.invoices import read_trace
from node.domains.invoices.cli.upload import Upload
from node.domains.invoices.importing.online_retail import read_retail_file
from node.domains.invoices.importing.plan import Plan
from node.domains.invoices.importing.retail_plan import CURRENCY, plan_import
from node.domains.invoices.importing.summary import ImportSummary

SLICE = Path("tests/data/online-retail-slice.csv.gz")
_DRIVEN = 10
"""Invoices that go through the whole life."""
_KILL_AT = 0.4
"""Share of the import after which the leader is killed."""


def run_demo(folder: Path, data: Path | None, *, keep: bool, as_json: bool) -> None:
    """Run the demo in `folder`.

    Raises:
        UsageError: the folder holds something else, or there is no data file.
        CliError: a step failed; the nodes' logs stay in the folder.
    """
    source = data or Path(node.__file__).resolve().parents[1] / SLICE
    if not source.is_file():
        raise UsageError(f"{source}: no such file; give one with --data")
    tell(Demo, folder, source, keep=keep, as_json=as_json)


class Demo(Story):
    """The steps, and what was learnt from them."""

    @override
    def run(self) -> None:
        """All steps."""
        started = time.monotonic()
        self.start_cluster()
        plan = self.read_data()
        self.open_registers(plan)
        numbers = self.import_and_kill_leader(plan)
        touched = {letter.original for letter in plan.letters}
        chosen = [
            numbers[invoice.order_id]
            for invoice in plan.invoices
            if invoice.order_id in numbers and invoice.order_id not in touched
        ]
        self.live_through(chosen[:_DRIVEN])
        self.refuse_double_claim(chosen[_DRIVEN])
        self.compare_nodes()
        self.trace(chosen[0])
        self.prove(chosen[0])
        self.facts["seconds"] = round(time.monotonic() - started, 1)

    # --- Steps -------------------------------------------------------------------------------

    def start_cluster(self) -> None:
        """A fresh network of four nodes, each a process of its own."""
        self._title("Four nodes")
        begun = time.monotonic()
        genesis = self._network.start(NODES)
        for name, each in self._network.nodes.items():
            self._say(f"{name:<11} process {each.pid}, API http://{each.config.api.listen}")
        self._say(
            f"ready in {time.monotonic() - begun:.1f} s; leader: {self._network.leader()}; "
            f"network {genesis.network_id.hex()[:16]}…"
        )

    def read_data(self) -> Plan:
        """The retailer's own file, planned before any node sees it."""
        self._title("Real invoices")
        plan = plan_import(read_retail_file(self._source))
        refused: dict[str, int] = {}
        for refusal in plan.refused:
            refused[refusal.code] = refused.get(refusal.code, 0) + 1
        listed = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
        self._say(
            f"{self._source.name}: {len(plan.invoices)} invoices, {len(plan.cancellations)} "
            f"cancellations as {len(plan.letters)} red letters; refused: {listed}"
        )
        return plan

    def open_registers(self, plan: Plan) -> None:
        """What the tax bureau must have said before anyone may issue."""
        self._title("The tax bureau allots numbers and quota, and publishes rates")
        net = sum(invoice.net for invoice in plan.invoices)
        quota = open_registers(self._network, BUREAU, ISSUER, net, CURRENCY)
        self._say(f"{NUMBERS:,} numbers, quota of {quota / 100:,.2f} CNY, GBP at 9.15, 20 % tax")

    def import_and_kill_leader(self, plan: Plan) -> dict[str, str]:
        """Everything is issued and corrected while the leader dies and comes back.

        Returns:
            The invoice numbers by order id.
        """
        self._title("Import, and kill -9 of the leader in the middle")
        total = len(plan.invoices) + len(plan.letters)
        counts: list[int] = []
        upload = Upload(
            self._network.nodes[ISSUER].config, plan, self._network.ids[PAYER], counts.append
        )
        with ThreadPoolExecutor(1, "demo") as pool:
            running = pool.submit(upload.run)
            self._progress(running, counts, total, until=int(_KILL_AT * len(plan.invoices)))
            if running.done():
                running.result()
                raise DemoError("the import ended before the leader could be killed")
            self._kill_leader()
            self._progress(running, counts, total, until=total)
            summary = running.result()
        self._report_import(plan, summary, upload)
        return upload.numbers

    def live_through(self, numbers: list[str]) -> None:
        """A few invoices from hand to hand: offered, signed, submitted, claimed, paid, booked."""
        self._title("Through the life of an invoice")
        begun, act = time.monotonic(), self._network.act
        reimburser = self._network.ids[REIMBURSER]
        for position, number in enumerate(numbers):
            gross = self._network.invoice(ISSUER, number)["gross"]
            path = f"/v1/invoices/{number}"
            last = Until.FINAL if position == len(numbers) - 1 else Until.COMMITTED
            act(PAYER, f"{path}/offer", {"to": reimburser}, Until.COMMITTED)
            act(REIMBURSER, f"{path}/sign", {}, Until.COMMITTED)
            submission = {"to": reimburser, "amount": gross}
            act(REIMBURSER, f"{path}/submit", submission, Until.COMMITTED)
            act(REIMBURSER, f"{path}/claim", {"amount": gross}, Until.COMMITTED)
            references = {"booking": f"V-{position:04}", "payment": f"P-{position:04}"}
            paid = {"claim": 0, "amount": gross, **references}
            act(REIMBURSER, f"{path}/reimburse", paid, Until.COMMITTED)
            act(PAYER, f"{path}/book", {"reference": f"B-{position:04}"}, last)
        elapsed = time.monotonic() - begun
        self._say(
            f"{len(numbers)} invoices offered, signed, submitted, claimed, reimbursed and booked, "
            f"{6 * len(numbers)} operations one after the other in {elapsed:.1f} s"
        )

    def refuse_double_claim(self, number: str) -> None:
        """What is locked once cannot be locked again."""
        self._title("A double claim")
        gross = self._network.invoice(ISSUER, number)["gross"]
        path, act = f"/v1/invoices/{number}", self._network.act
        act(PAYER, f"{path}/submit", {"to": self._network.ids[REIMBURSER], "amount": gross})
        act(REIMBURSER, f"{path}/claim", {"amount": gross})
        try:
            act(REIMBURSER, f"{path}/claim", {"amount": gross})
        except ProblemError as error:
            self._say(f"invoice {number}: claimed {gross} of {gross} pence, then once more:")
            self._say(f"refused with {error.code} (HTTP {error.status})")
            self.facts["double_claim"] = error.code
            if error.code == "INSUFFICIENT_AVAILABLE":
                return
            raise DemoError(f"a double claim was refused with {error.code}") from error
        raise DemoError("a double claim was not refused")

    def compare_nodes(self) -> None:
        """The same height, root and state digest on all nodes."""
        self._title("The same ledger everywhere")
        statuses = self._network.wait_equal()
        for name, status in statuses.items():
            self._say(
                f"{name:<11} height {status['height']} (final {status['final_height']}), "
                f"root {str(status['root'])[:16]}…, state {str(status['state_digest'])[:16]}…"
            )
        first = next(iter(statuses.values()))
        self.facts |= {name: first[name] for name in ("height", "root", "state_digest")}

    def trace(self, number: str) -> None:
        """Every step of one invoice, read from another node than its issuer's."""
        self._title(f"The trace of invoice {number}, read at the payer's node")
        names = {identity: name for name, identity in self._network.ids.items()}
        steps: list[dict[str, object]] = []
        end = time.monotonic() + PATIENCE_S
        while len(steps) < 7 and time.monotonic() < end:  # the query index is a moment behind
            found = read_trace(self._network.clients[PAYER], number)["steps"]
            assert isinstance(found, list)
            steps = found
        for step in steps:
            signer = names.get(str(step["signer"]), str(step["signer"]))
            amount = step.get("amount")
            self._say(
                f"height {step['height']:<5} {step['operation']:<10} {signer:<11}"
                f"{'' if amount is None else amount!s:>10}  transaction {step['transaction']}"
            )
        if len(steps) < 7:
            raise DemoError(f"the trace has {len(steps)} of 7 steps")
        self.facts["trace"] = [step["operation"] for step in steps]

    def prove(self, number: str) -> None:
        """A proof that anyone can check with two files."""
        self._title("A proof, checked offline")
        identity = str(self._network.invoice(REIMBURSER, number)["transaction"])
        folder = self._network.folder
        proof, network = folder / "invoice.proof", folder / "network.toml"
        client = self._network.clients[REIMBURSER]
        status = client.get(f"/v1/transactions/{identity}", wait="final", timeout_s=PATIENCE_S)
        if status.fields["state"] != "final":
            raise DemoError(f"transaction {identity} did not become final")
        proof.write_text(client.get(f"/v1/transactions/{identity}/receipt").text)
        verdict = check_file(proof, network)
        if not verdict["valid"] or verdict["transaction"] != identity:
            raise DemoError(f"the proof does not verify: {verdict['reason']}")
        cosigners = verdict["cosigners"]
        assert isinstance(cosigners, list)
        self._say(
            f"valid: transaction {identity} at height {verdict['height']}, "
            f"cosigned by {', '.join(cosigners)}"
        )
        changed = folder / "changed.proof"
        content = bytearray(proof.read_bytes())
        content[len(content) // 2] ^= 1
        changed.write_bytes(content)
        refused = check_file(changed, network)
        if refused["valid"]:
            raise DemoError("a changed proof verifies")
        self._say(f"one bit changed: {refused['reason']}")
        self._say(f"again: {program()} verify {proof} --network {network}")
        self.facts["proof"] = {"file": str(proof), "transaction": identity}

    @override
    def close(self, *, keep: bool) -> None:
        """The status of each node, by curl."""
        self._title(f"Done in {self.facts['seconds']} s")
        self._say("Ask each node for its status" + ("" if keep else " (while it runs: --keep)"))
        for name, each in self._network.nodes.items():
            token = each.config.api.token_dir / "read.token"
            self._say(
                f'curl -sS -H "Authorization: Bearer $(cat {nearby(token)})" '
                f"http://{each.config.api.listen}/v1/status  # {name}"
            )
        if keep:
            self._say(f"stop them with: {program()} cluster down {self._network.folder}")

    def _kill_leader(self) -> None:
        network = self._network
        leader = network.leader()
        victim = network.nodes[leader]
        final = network.final_height(but=leader)
        victim.send_signal(signal.SIGKILL)
        begun = time.monotonic()
        victim.wait_stopped(5.0)
        new = network.wait_for_leader_but(leader)
        elected = time.monotonic() - begun
        self._say(f"killed {leader} (kill -9); {new} leads after {elected:.2f} s")
        if leader != BUREAU:  # work that goes on even if the dead node is the one that imports
            network.act(BUREAU, "/v1/exchange-rates", exchange_rate(CURRENCY))
        after = network.wait_for(
            lambda: now if (now := network.final_height(but=leader)) > final else None,
            "nothing became final after the leader was killed",
        )
        self._say(f"the other three went on to final height {after}")
        start_nodes([victim])
        self._say(f"{leader} is back and has caught up, {time.monotonic() - begun:.1f} s later")
        self.facts["leader_killed"] = {
            "killed": leader,
            "leads": new,
            "election_seconds": round(elected, 3),
        }

    # --- Telling ---------------------------------------------------------------------------------

    def _report_import(self, plan: Plan, summary: ImportSummary, upload: Upload) -> None:
        more = len(summary.refused) - len(plan.refused)
        if more:
            first = next(refusal for refusal in summary.refused if refusal not in plan.refused)
            raise DemoError(f"the ledger refused {more} documents: {first.code} {first.message}")
        rate, red_rate = summary.invoices / upload.issue_s, summary.red_letters / upload.red_s
        self._say(
            f"{summary.invoices} invoices in {upload.issue_s:.1f} s: {rate:,.0f} invoices/s, "
            "the outage included"
        )
        self._say(
            f"{summary.red_letters} red letters, each requested and issued, in "
            f"{upload.red_s:.1f} s: {red_rate:,.0f} red letters/s"
        )
        self._say(f"in all {summary.totals['GBP'].gross / 100:,.2f} GBP gross")
        self.facts |= {
            "invoices": summary.invoices,
            "invoices_per_second": round(rate),
            "red_letters": summary.red_letters,
            "red_letters_per_second": round(red_rate),
        }

    def _progress(
        self, running: Future[ImportSummary], counts: list[int], total: int, until: int
    ) -> None:
        """Show progress until `until` documents are done or the import has ended."""
        with self._console.status("importing") as shown:
            while sum(counts) < until and not running.done():
                shown.update(f"importing: {sum(counts)} of {total}")
                time.sleep(0.02)
