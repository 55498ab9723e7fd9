"""The words of documents in Chinese and English. Owns every label; knows no layout."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """What a document is written in."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages of it, in the order in which they stand."""
        return ("zh", "en") if self is Language.BOTH else (self.value,)

    @property
    def colon(self) -> str:
        """The colon between a label and its text."""
        return ":" if self is Language.EN else "："

    @property
    def tag(self) -> str:
        """BCP 47 tag of the document."""
        return "en" if self is Language.EN else "zh-CN"


def words(key: str, language: Language) -> str:
    """The label `key`; in both languages, with a space between them."""
    return " ".join(parts(key, language))


def parts(key: str, language: Language) -> tuple[str, ...]:
    """The label `key`, once for each language."""
    chinese, english = _WORDS[key]
    pair = {"zh": chinese, "en": english}
    return tuple(pair[code] for code in language.codes)


_WORDS: Mapping[str, tuple[str, str]] = {
    "title_ordinary": ("电子发票（普通发票）", "Electronic invoice (ordinary)"),
    "title_special": ("电子发票（增值税专用发票）", "Electronic invoice (special VAT)"),
    "title_red_ordinary": ("红字电子发票（普通发票）", "Red-letter invoice (ordinary)"),
    "title_red_special": ("红字电子发票（增值税专用发票）", "Red-letter invoice (special VAT)"),
    "number": ("发票号码", "Invoice no."),
    "issue_date": ("开票日期", "Date of issue"),
    "buyer": ("购买方信息", "Buyer"),
    "seller": ("销售方信息", "Seller"),
    "name": ("名称", "Name"),
    "stated_tax_id": ("票面税号", "Tax ID as stated"),
    "tax_id": ("统一社会信用代码/税号", "Tax ID"),
    "address": ("地址", "Address"),
    "country": ("国家/地区", "Country"),
    "phone": ("电话", "Phone"),
    "email": ("电子邮箱", "E-mail"),
    "bank": ("开户银行", "Bank"),
    "account": ("银行账号", "Account"),
    "contact": ("联系人", "Contact"),
    "party_key": ("公钥", "Public key"),
    "private_party": ("以单次公钥持有（身份不公开）", "One-time key, identity not public"),
    "item": ("项目名称", "Description"),
    "model": ("规格型号", "Model"),
    "unit": ("单位", "Unit"),
    "quantity": ("数量", "Quantity"),
    "unit_price": ("单价", "Unit price"),
    "net": ("金额", "Net"),
    "rate": ("税率", "Rate"),
    "tax": ("税额", "Tax"),
    "allowance_line": ("已扣折让", "Allowance taken"),
    "allowance": ("折让", "Allowance"),
    "charge": ("附加费用", "Charge"),
    "discount": ("折扣", "Discount"),
    "original_line": ("冲红原第几行", "Takes back line"),
    "sum": ("合计", "Total"),
    "rate_groups": ("按税率合计", "By tax rate"),
    "gross": ("价税合计", "Total with tax"),
    "capitals": ("大写", "In words"),
    "figures": ("小写", "In figures"),
    "remarks": ("备注", "Remarks"),
    "currency": ("币种", "Currency"),
    "external_number": ("外部单据号", "Document no."),
    "external_date": ("外部单据日期", "Document date"),
    "due_date": ("付款到期日", "Due date"),
    "payment_terms": ("付款条件", "Payment terms"),
    "order_reference": ("订单号", "Order"),
    "contract_reference": ("合同号", "Contract"),
    "attachment": ("附件", "Attachment"),
    "drawer": ("开票人", "Drawn by"),
    "original": ("被红冲蓝字发票号码", "Corrects invoice no."),
    "replaced_by": ("已由以下发票替换", "Replaced by invoice no."),
    "replaces": ("替换发票号码", "Replaces invoice no."),
    "red_number": ("红字发票号码", "Red-letter invoice no."),
    "claim_key": ("领票密钥", "Claim key"),
    "claim_key_note": (
        "凭此密钥可领取本发票，请妥善保管，勿示他人。",
        "Whoever holds this key can claim the invoice: keep it secret.",
    ),
    "state": ("账本状态", "State on the ledger"),
    "issued": ("有效", "In force"),
    "cancelled": ("已作废", "Cancelled"),
    "credited": ("已全额红冲", "Red-lettered in full"),
    "partly_credited": ("已部分红冲", "Red-lettered in part"),
    "red_reserved": ("红冲处理中", "Red letter pending"),
    "locked": ("报销锁定", "Locked for reimbursement"),
    "reimbursed": ("已报销", "Reimbursed"),
    "refund_due": ("待退款", "Refund due"),
    "frozen": ("已冻结", "Frozen"),
    "red_document": ("红字发票", "Red-letter invoice"),
    "rejected": ("购买方已拒收", "Rejected by the buyer"),
    "disputed": ("争议中", "Disputed"),
    "not_final": ("尚未最终确认", "Not final yet"),
    "as_of": ("状态时点", "As of"),
    "height": ("区块高度", "Block"),
    "issued_at": ("上链时间", "On the ledger since"),
    "transaction": ("交易哈希", "Transaction"),
    "network": ("网络标识", "Network"),
    "details_sealed": (
        "明细已加密，仅交易双方与税务机关可见；以下为公开部分。",
        "The details are sealed for the parties and the tax bureau; this is the public part.",
    ),
    "details_none": ("开票时未附明细。", "The invoice was issued without details."),
    "details_unreadable": (
        "明细不符合已知格式，无法显示；以下为公开部分。",
        "The details have no known shape and cannot be shown; this is the public part.",
    ),
    "scan": ("扫码查验", "Scan to check"),
    "later": (
        "本页为所示时点的状态，其后变更请扫码查验。",
        "This page shows the state at that time; scan the code for what happened since.",
    ),
    "missing_glyph": (
        "字体未收录的字符以□代替。",
        "Characters that the fonts lack are printed as □.",
    ),
    "check_title": ("发票查验", "Check an invoice"),
    "check_lead": (
        "输入发票上的三项内容，或粘贴二维码文本。三项均须与账本一致。",
        "Enter three facts from the paper, or paste the text of its QR code. "
        "All three must be those on the ledger.",
    ),
    "check_text": ("二维码文本", "Text of the QR code"),
    "check_or": ("或", "or"),
    "check_amount": ("价税合计（如 1234.50）", "Total with tax (like 1234.50)"),
    "check_hash": ("交易哈希", "Transaction hash"),
    "check_submit": ("查验", "Check"),
    "kind": ("发票类型", "Kind"),
    "kind_ordinary": ("普通发票", "Ordinary"),
    "kind_special": ("增值税专用发票", "Special VAT"),
    "credited_amount": ("已红冲金额", "Red-lettered"),
    "final": ("已最终确认", "Final"),
    "verdict_valid": ("发票有效", "Valid"),
    "verdict_mismatch": ("信息不符", "Does not match"),
    "verdict_cancelled": ("发票已作废", "Cancelled"),
    "verdict_red_lettered": ("发票已红冲", "Red-lettered"),
    "verdict_locked": ("发票已锁定报销", "Locked for reimbursement"),
    "verdict_reimbursed": ("发票已报销", "Reimbursed"),
    "verdict_unknown": ("查无此票", "Unknown"),
    "verdict_unreadable": ("无法识别", "Cannot be read"),
    "say_valid": (
        "账本上有此发票，未作废、未红冲、未报销。请核对下列内容与票面是否一致。",
        "The ledger holds this invoice: not cancelled, not red-lettered, not reimbursed. "
        "Compare what follows with the paper.",
    ),
    "say_mismatch": (
        "号码存在，但所给内容与账本不一致。请检查输入；若输入无误，请勿接受此票。",
        "The number exists, but what you entered is not what the ledger holds. Check your typing; "
        "if it is right, do not accept the paper.",
    ),
    "say_cancelled": (
        "开票方已作废此发票，不得报销。",
        "Its issuer cancelled it. It must not be paid on.",
    ),
    "say_red_lettered": (
        "此发票的全部或部分金额已被红字发票冲销。",
        "All or part of it was taken back by a red letter.",
    ),
    "say_locked": (
        "此发票的全部或部分金额正在报销中，请勿重复报销。",
        "All or part of it is being reimbursed now. Do not pay the same amount twice.",
    ),
    "say_reimbursed": (
        "此发票的全部或部分金额已经报销，请勿重复报销。",
        "All or part of it has been reimbursed. Do not pay the same amount twice.",
    ),
    "say_unknown": (
        "账本上没有此号码的发票。刚开具的发票请稍后再试。",
        "The ledger holds no invoice of this number. If it was issued just now, try again.",
    ),
    "say_unreadable": (
        "请输入20位发票号码、金额和64位交易哈希，或粘贴完整的二维码文本。",
        "Enter the number (20 digits), the amount and the hash (64 hex digits), "
        "or paste the whole text of the code.",
    ),
    "say_frozen": (
        "税务机关已冻结此发票，冻结期间不得流转、报销。",
        "The tax bureau has frozen it: it can be neither handed on nor reimbursed.",
    ),
    "say_not_final": (
        "最新区块尚未最终确认，请稍后再查。",
        "The newest block is not final yet. Check again in a moment.",
    ),
    "page": ("第 {page} 页，共 {pages} 页", "Page {page} of {pages}"),
    "continued": ("续", "continued"),
}
