"""Details of a table that are too large to be sealed are refused; small ones need no measuring."""

from pathlib import Path

import pytest

from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.details.details import DETAILS_BYTES_MAX
from node.domains.invoices.details.totals import canonical_details
from node.domains.invoices.importing import checks
from node.domains.invoices.importing.documents import read_documents
from node.domains.invoices.importing.plan import Plan, encode_json
from node.domains.invoices.importing.table_plan import plan_table
from node.domains.invoices.importing.tables import read_csv

HEADER = "order_id,description,net,rate"


def plan_of(path: Path, lines: int, text: str) -> Plan:
    rows = [f"A-1,{text},1.00,13%" for _ in range(lines)]
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    return plan_table(read_documents(read_csv(path)))


@pytest.mark.parametrize("text", ["w" * 500, "票" * 500])
def test_details_of_a_table_that_are_too_large_are_refused(tmp_path: Path, text: str) -> None:
    of_a_line = len(encode_json({"description": text, "net": 100, "rate": 1300})) + 20
    fitting = DETAILS_BYTES_MAX // of_a_line - 5
    assert not plan_of(tmp_path / "fits.csv", fitting, text).refused
    refused = plan_of(tmp_path / "large.csv", fitting + 20, text).refused
    assert [each.code for each in refused] == ["INVALID_FIELDS"]
    assert "larger than" in refused[0].message


def test_a_body_that_is_not_measured_is_far_from_every_limit() -> None:
    """What a body leaves out and the sealed form says: of the shortest line it is most."""
    line = {"description": "x", "net": 1, "rate": 0}
    count = checks._SMALL_BYTES // len(encode_json(line))
    body = {"order_id": "A-1", "buyer": "0" * 18, "currency": "CNY", "lines": [line] * count}
    checked = InvoiceBody.model_validate(body)
    sealed = canonical_details(checked.details, checked.lines or (), ())
    assert sealed is not None
    assert len(sealed) < DETAILS_BYTES_MAX / 2
