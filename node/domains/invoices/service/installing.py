"""Makes the services of invoices out of a node's parts. Owns only which gets what."""

from __future__ import annotations

from node.domains.description import Installed, NodeParts, Serving
from node.domains.invoices.service.act_for_retired import ActingForRetired
from node.domains.invoices.service.companions import InvoiceCompanions
from node.domains.invoices.service.examiner import Examiner
from node.domains.invoices.service.hold_service import HoldService
from node.domains.invoices.service.invoice_service import InvoiceService
from node.domains.invoices.service.issuance import Issuance
from node.domains.invoices.service.ports import HOLDS, SERVICE
from node.domains.invoices.service.unsealing import Unsealer
from node.sealing.attachments import WaitingFiles
from node.services.submitter import Submitter


def install(node: NodeParts) -> Installed:
    """Invoices in one node."""
    unsealer = Unsealer(node.keyring, node.recipients, node.reader)
    acting = ActingForRetired(node.participant, node.participants, node.reader)

    def serve(submitter: Submitter) -> Serving:
        files = WaitingFiles(node.monotonic_s)
        issuance = Issuance(
            node.participant, node.keyring, node.recipients, node.outbox, node.reader, files
        )
        holds = HoldService(
            node.network_id, submitter, node.signer, node.keyring, node.recipients, node.reader
        )
        examiner = Examiner(
            node.participant,
            unsealer,
            node.reader,
            submitter,
        )
        invoices = InvoiceService(submitter, unsealer, issuance, node.keyring, files)
        return Serving(services={SERVICE: invoices, HOLDS: holds}, final=(examiner,))

    return Installed(
        companions=(InvoiceCompanions(unsealer, acting),),
        discloser=unsealer,
        serve=serve,
    )
