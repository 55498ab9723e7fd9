"""The columns of our own tables: names in English and Chinese, and what each one means.

Readers, template and error file share this list. Knows no file format.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec


class Level(Enum):
    """Where a column's value belongs."""

    DOCUMENT = "document"
    """Once for each document: on its first row, or the same on all."""
    LINE = "line"
    """On each row."""


class Column(msgspec.Struct, frozen=True):
    """One column."""

    name: str
    chinese: str
    level: Level
    meaning: str
    chinese_meaning: str
    example: str = ""
    red_example: str = ""


_D, _L = Level.DOCUMENT, Level.LINE

COLUMNS: tuple[Column, ...] = (
    Column(
        "kind",
        "类型",
        _L,
        "invoice, or red for a red letter. Empty: invoice.",
        "发票 或 红字；空白为发票。",
        "invoice",
        "red",
    ),
    Column(
        "order_id",
        "订单号",
        _L,
        "Your order, on every row. Rows of one order make one document; if one of them cannot be "
        "read, the whole order is refused. An order is issued once, ever.",
        "贵方订单号，每行必填。同一订单号的各行合为一张；任一行无法读取则整单不导入。每个订单只开一次。",
        "SO-1001",
        "RC-1001",
    ),
    Column(
        "buyer",
        "购买方",
        _D,
        "Participant id (18 characters) or a public key in hex. Empty: as --buyer says.",
        "参与方代码（18 位）或公钥；空白则用 --buyer。",
        "91350100M000100Y43",
    ),
    Column("buyer_name", "购买方名称", _D, "Sealed.", "加密保存。", "福州示例有限公司"),
    Column("buyer_tax_id", "购买方税号", _D, "Sealed.", "加密保存。"),
    Column("buyer_address", "购买方地址", _D, "Sealed.", "加密保存。"),
    Column("buyer_phone", "购买方电话", _D, "Sealed.", "加密保存。"),
    Column("buyer_bank", "购买方开户行", _D, "Sealed.", "加密保存。"),
    Column("buyer_account", "购买方账号", _D, "Sealed.", "加密保存。"),
    Column(
        "invoice_type",
        "票种",
        _D,
        "ordinary or special. Empty: ordinary.",
        "普通 或 专用；空白为普通。",
        "ordinary",
    ),
    Column("currency", "币种", _D, "ISO 4217. Empty: CNY.", "ISO 4217；空白为 CNY。", "CNY"),
    Column(
        "external_number", "外部单号", _D, "Your own document's number.", "贵方单据号码。", "D-77"
    ),
    Column(
        "external_date",
        "外部日期",
        _D,
        "Your own document's date: YYYY-MM-DD, with or without a time.",
        "贵方单据日期：YYYY-MM-DD，可带时间。",
        "2026-11-20",
        "2026-11-25",
    ),
    Column("due_date", "付款期限", _D, "YYYY-MM-DD.", "YYYY-MM-DD。"),
    Column("remarks", "备注", _D, "At most 2,000 characters.", "最多 2000 字。"),
    Column(
        "code", "商品编码", _L, "Tax classification or stock code.", "税收分类编码或货号。", "P-9"
    ),
    Column(
        "description", "项目名称", _L, "What is sold.", "商品或服务名称。", "A4 paper", "A4 paper"
    ),
    Column("model", "规格型号", _L, "Model.", "规格型号。"),
    Column(
        "unit",
        "单位",
        _L,
        "Unit of the quantity: a word, or a code of UN/ECE Recommendation 20.",
        "数量单位：文字，或 UN/ECE 第 20 号建议书代码。",
        "box",
    ),
    Column(
        "quantity",
        "数量",
        _L,
        "Decimal, at most 13 decimals. Of a red letter: how many are taken back.",
        "小数，最多 13 位；红字为退回数量。",
        "10",
        "2",
    ),
    Column(
        "unit_price",
        "单价",
        _L,
        "Net, in major units, at most 13 decimals.",
        "不含税单价，最多 13 位小数。",
        "25.00",
    ),
    Column(
        "net",
        "金额",
        _L,
        "Net, in major units with the currency's decimals. Empty: quantity × unit price, rounded "
        "half up. Of a red letter: the amount taken back, as a positive number.",
        "不含税金额；空白则为数量×单价（四舍五入）。红字填退回金额（正数）。",
    ),
    Column(
        "rate",
        "税率",
        _L,
        "Per cent: 13 or 13%. A red letter takes its original's.",
        "百分比：13 或 13%；红字沿用原票。",
        "13%",
    ),
    Column(
        "tax",
        "税额",
        _L,
        "Empty: net × rate, rounded half up.",
        "空白则为金额×税率（四舍五入）。",
    ),
    Column(
        "nature",
        "行性质",
        _L,
        "normal, discount or discounted. Empty: normal.",
        "正常、折扣、被折扣；空白为正常。",
    ),
    Column(
        "original",
        "原订单号",
        _L,
        "Red letter: the order id of the invoice it corrects, in this file or on the ledger.",
        "红字：原发票的订单号（本文件内或已上链）。",
        "",
        "SO-1001",
    ),
    Column(
        "original_number",
        "原发票号码",
        _L,
        "Red letter: or the number of that invoice, 20 digits.",
        "红字：或原发票号码（20 位）。",
    ),
    Column(
        "line",
        "原行号",
        _L,
        "Red letter: which line of the original, from 1. With neither quantity nor net the "
        "whole line.",
        "红字：原发票第几行（从 1 起）；数量、金额皆空则整行。",
        "",
        "1",
    ),
    Column(
        "reason",
        "红字原因",
        _D,
        "return, allowance, service_ended or issuing_error. Empty: return.",
        "销货退回、销售折让、服务中止、开票有误；空白为销货退回。",
        "",
        "return",
    ),
)

ERROR_COLUMNS = ("error_code", "error")
"""Added by the file of refused rows; ignored when it is imported again."""
_CHINESE_ERRORS = {"错误代码": "error_code", "错误": "error"}

_SPELLINGS: Mapping[str, str] = (
    {column.name: column.name for column in COLUMNS}
    | {column.chinese: column.name for column in COLUMNS}
    | {name: name for name in ERROR_COLUMNS}
    | _CHINESE_ERRORS
)

WORDS: Mapping[str, Mapping[str, str]] = {
    "kind": {"": "invoice", "发票": "invoice", "蓝字": "invoice", "红字": "red"},
    "invoice_type": {
        "": "ordinary",
        "普通": "ordinary",
        "普票": "ordinary",
        "专用": "special",
        "专票": "special",
    },
    "nature": {"": "normal", "正常": "normal", "折扣": "discount", "被折扣": "discounted"},
    "reason": {
        "": "return",
        "销货退回": "return",
        "销售折让": "allowance",
        "服务中止": "service_ended",
        "开票有误": "issuing_error",
    },
}
"""What may stand in a column of choices instead of the English words."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "kind": ("invoice", "red"),
    "invoice_type": ("ordinary", "special"),
    "nature": ("normal", "discount", "discounted"),
    "reason": ("return", "allowance", "service_ended", "issuing_error"),
}


def column_name(heading: str) -> str | None:
    """The column that a heading names, in either language; None: no such column."""
    text = heading.strip().lower().replace(" ", "_").replace("-", "_")
    return _SPELLINGS.get(text)
