"""The live import against a node in memory: batches, splitting, repeats, outages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.client import ApiClient, NodeUnreachableError, ProblemError
from node.cli.errors import CliError
from node.domains.invoices.cli.repeats import said
from node.domains.invoices.cli.upload import Upload
from node.domains.invoices.importing.bodies import BATCH_INVOICES_MAX
from node.domains.invoices.importing.online_retail import read_retail_rows
from node.domains.invoices.importing.plan import Plan
from node.domains.invoices.importing.retail_plan import plan_import
from node.system.config import NodeConfig, load_config
from tests.cli.configs import write_config
from tests.cli.fake_node import ISSUER, FakeNode, served
from tests.cli.test_online_retail import Row, records


@pytest.fixture
def fake() -> FakeNode:
    return FakeNode()


@pytest.fixture
def config(fake: FakeNode, tmp_path: Path) -> Iterator[NodeConfig]:
    with served(fake) as port:
        tokens = dict.fromkeys(("read", "operate"), "x" * 43)
        yield load_config(write_config(tmp_path, ISSUER, port, tokens))


def plan(count: int) -> Plan:
    rows: list[Row] = [(str(number), "A", 2, "1.00", "7") for number in range(count)]
    rows += [("C1", "A", -1, "1.00", "7"), ("C2", "A", -3, "1.00", "7"), ("C3", "Z", -1, "1", "7")]
    return plan_import(read_retail_rows(records(*rows)))


def test_everything_is_issued_and_corrected(fake: FakeNode, config: NodeConfig) -> None:
    told: list[int] = []
    summary = Upload(config, plan(120), progress=told.append).run()

    assert (summary.accepted, summary.skipped) == (122, 0)
    assert [refusal.code for refusal in summary.refused] == ["NO_ORIGINAL"]
    assert summary.totals["GBP"].net == 120 * 200 - 400
    assert (summary.invoices, summary.red_letters) == (120, 3)
    assert len(fake.invoices) == 123
    assert max(fake.batch_sizes) == BATCH_INVOICES_MAX
    assert sum(told) == 123


def test_a_repeat_skips_everything(fake: FakeNode, config: NodeConfig) -> None:
    first = Upload(config, plan(60)).run()
    before = dict(fake.invoices)
    again = Upload(config, plan(60)).run()

    assert (again.accepted, again.skipped) == (0, first.accepted)
    assert again.totals == {}
    assert fake.invoices == before


def test_a_repeat_with_other_content_is_named_with_its_row(
    fake: FakeNode, config: NodeConfig
) -> None:
    Upload(config, plan(60)).run()
    before = dict(fake.invoices)
    changed = plan_import(
        read_retail_rows(
            records(
                ("0", "A", 2, "1.00", "7"),
                ("1", "A", 3, "1.00", "7"),
                ("C1", "A", -1, "1.00", "7"),
                ("C9", "A", -2, "1.00", "7"),
            )
        )
    )
    summary = Upload(config, changed).run()

    assert [(r.row, r.code, r.order_id) for r in summary.refused] == [
        (3, "ORDER_CONFLICT", "1"),
        (4, "ORDER_CONFLICT", "C1"),
        (5, "ORDER_CONFLICT", "C9"),
    ]
    assert summary.refused[0].message.startswith("1: issued before with other content: ")
    assert fake.found["1"] in summary.refused[0].message
    assert "1 is on the ledger with other content" in summary.refused[2].message
    assert (summary.accepted, summary.skipped) == (0, 1)
    assert fake.invoices == before


def test_who_an_invoice_is_made_out_to_is_compared_when_it_is_said(
    fake: FakeNode, config: NodeConfig
) -> None:
    Upload(config, plan(2)).run()

    assert Upload(config, plan(2)).run().skipped == 4
    other = Upload(config, plan(2), buyer="B" * 18).run()
    assert [refusal.code for refusal in other.refused] == ["ORDER_CONFLICT"] * 2 + ["NO_ORIGINAL"]
    assert "buyer" in other.refused[0].message


def test_what_differs_is_said_in_words_that_count_from_one() -> None:
    assert said("/net") == "net"
    assert said("/lines/0/unit_price") == "line 1 unit price"
    assert said("/details/buyer/name") == "buyer name"
    assert said("/details") == "details"
    assert said("/taken/1/net") == "red line 2 net"


def test_an_import_cut_anywhere_is_finished_by_the_next(fake: FakeNode, config: NodeConfig) -> None:
    writes = 2 + 2 * 3  # two batches, and a form and a red invoice for each letter
    for cut in range(writes):
        fake.__init__()  # type: ignore[misc]
        fake.dies_after = cut
        with pytest.raises(CliError, match="FORBIDDEN"):
            Upload(config, plan(120), buyer="B" * 18).run()
        fake.dies_after = None
        again = Upload(config, plan(120), buyer="B" * 18).run()

        assert again.accepted + again.skipped == 122
        assert len(fake.invoices) == 123
        forms = [form for invoice in fake.invoices.values() for form in _forms(invoice)]
        assert [form["state"] for form in forms] == ["issued"] * 3


def test_a_form_that_was_refused_once_can_be_asked_for_again(
    fake: FakeNode, config: NodeConfig
) -> None:
    fake.refused_forms = ["FROZEN"] * 6
    first = Upload(config, plan(3)).run()
    assert [refusal.code for refusal in first.refused].count("FROZEN") == 2
    fake.refused_forms = []

    assert Upload(config, plan(3)).run().red_letters == 3


@pytest.mark.parametrize("tells", [False, True])
def test_one_refused_invoice_does_not_refuse_its_neighbours(
    fake: FakeNode, config: NodeConfig, tells: bool
) -> None:
    fake.tells_position = tells
    fake.refused_orders = {"17": "QUOTA_EXCEEDED", "99": "ORDER_CONFLICT"}
    summary = Upload(config, plan(120)).run()

    assert summary.invoices == 118
    assert [(refusal.row, refusal.code) for refusal in summary.refused] == [
        (2 + 17, "QUOTA_EXCEEDED"),
        (2 + 99, "ORDER_CONFLICT"),
        (2 + 122, "NO_ORIGINAL"),
    ]


def test_the_red_letter_of_a_refused_invoice_has_no_original(
    fake: FakeNode, config: NodeConfig
) -> None:
    fake.refused_orders = {"59": "QUOTA_EXCEEDED"}
    summary = Upload(config, plan(60)).run()

    assert [refusal.code for refusal in summary.refused].count("NO_ORIGINAL") == 3
    assert summary.accepted == 59


def test_a_refused_red_letter_refuses_its_cancellation_once(
    fake: FakeNode, config: NodeConfig
) -> None:
    fake.refused_orders = {"C2/1": "OVER_CREDIT", "C2/2": "OVER_CREDIT"}
    summary = Upload(config, plan(60)).run()

    assert [refusal.code for refusal in summary.refused] == ["OVER_CREDIT", "NO_ORIGINAL"]
    assert (summary.accepted, summary.red_letters) == (61, 1)


def test_an_interrupted_red_letter_is_finished_by_a_repeat(
    fake: FakeNode, config: NodeConfig
) -> None:
    fake.refused_orders = {"C1": "NO_QUOTA"}
    Upload(config, plan(3)).run()
    forms = [form for invoice in fake.invoices.values() for form in _forms(invoice)]
    assert [form["state"] for form in forms].count("confirmed") == 1

    fake.refused_orders = {}
    again = Upload(config, plan(3)).run()

    assert again.red_letters == 1
    forms = [form for invoice in fake.invoices.values() for form in _forms(invoice)]
    assert {form["state"] for form in forms} == {"issued"}
    assert len(forms) == 3


def test_an_outage_is_waited_out(fake: FakeNode, config: NodeConfig) -> None:
    fake.unavailable = 3

    assert Upload(config, plan(60)).run().invoices == 60


def test_a_node_that_does_not_let_us_write_ends_the_import(
    fake: FakeNode, config: NodeConfig
) -> None:
    fake.forbidden = True

    with pytest.raises(CliError, match="FORBIDDEN"):
        Upload(config, plan(60), buyer="X").run()


def _forms(invoice: dict[str, object]) -> list[dict[str, object]]:
    forms = invoice["red_forms"]
    assert isinstance(forms, list)
    return forms


# --- The client ------------------------------------------------------------------------------


def test_a_problem_carries_its_code_and_fields(fake: FakeNode) -> None:
    with served(fake) as port, ApiClient("127.0.0.1", port) as client:
        with pytest.raises(ProblemError, match="NOT_FOUND: because of NOT_FOUND") as caught:
            client.get("/v1/nothing")
        assert (caught.value.status, caught.value.code) == (404, "NOT_FOUND")


def test_patience_waits_for_a_node_that_cannot_write(fake: FakeNode) -> None:
    fake.unavailable = 2
    with served(fake) as port, ApiClient("127.0.0.1", port, patience_s=10) as client:
        answer = client.post("/v1/invoices:batch", {"invoices": []}).fields

    assert answer["state"] == "committed"
    assert fake.requests == 3


def test_without_patience_the_first_503_is_the_answer(fake: FakeNode) -> None:
    fake.unavailable = 1
    with (
        served(fake) as port,
        ApiClient("127.0.0.1", port) as client,
        pytest.raises(ProblemError, match="NO_QUORUM"),
    ):
        client.post("/v1/invoices:batch", {"invoices": []})


def test_a_closed_idle_connection_is_opened_again(fake: FakeNode) -> None:
    with served(fake) as port, ApiClient("127.0.0.1", port) as client:
        client.get("/v1/participants")
        assert client._connection is not None
        client._connection.sock.close()
        assert client.get("/v1/participants").fields["participants"]


def test_nobody_listening_is_told_as_such() -> None:
    with ApiClient("127.0.0.1", 1) as client, pytest.raises(NodeUnreachableError, match="running"):
        client.get("/v1/status")
