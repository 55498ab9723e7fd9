"""Numbers that stand for ever, and what they mean: outcomes of transactions, tables of the state.

The one list of each for all domains, so that no two take the same: never renumbered, never reused.
Owns no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Code(IntEnum):
    """Outcome of a transaction. 0 is applied; everything else changed nothing but its own leaf."""

    OK = 0

    # Transaction and envelope, 1–99. Codes below 20 leave no leaf.
    DUPLICATE = 1
    BAD_SIGNATURE = 2
    WRONG_NETWORK = 3
    UNKNOWN_AUTHOR = 4
    EXPIRED = 5
    VALIDITY_TOO_LONG = 6
    MALFORMED = 7
    BLOB_MISMATCH = 8
    AUTHOR_NOT_ACTIVE = 9
    NOT_PERMITTED = 20
    UNKNOWN_PARTY = 21
    PARTY_SIGNATURE_INVALID = 22
    RULE_FAULT = 23
    """The rules themselves failed over it: a fault of the program, on every node alike."""
    DOMAIN_ABSENT = 24

    # Every invoice operation, 100–119.
    UNKNOWN_INVOICE = 100
    WRONG_PARTY = 101
    FROZEN = 102
    DOCUMENT_CLOSED = 103
    RED_TAKES_NO_OPERATION = 104
    NOT_FROZEN = 105

    # Issuing, 120–139.
    NUMBER_NOT_ALLOTTED = 120
    NUMBER_USED = 121
    ISSUING_SUSPENDED = 122
    QUOTA_PERIOD = 123
    QUOTA_EXCEEDED = 124
    RATE_NOT_ALLOWED = 125
    TOTALS_MISMATCH = 126
    NOTHING_TO_INVOICE = 127
    ORDER_CONFLICT = 128
    NO_EXCHANGE_RATE = 129
    DATE_INVALID = 130

    # Responses, 140–149.
    RESPONSE_FINAL = 140
    DEADLINE_PASSED = 141
    NOT_DISPUTED = 142
    AMOUNT_INVALID = 143

    # Holder, 150–159.
    NOT_HOLDER = 150
    HAS_CLAIM = 151
    RED_PENDING = 152
    OFFER_EXPIRED = 153
    OFFER_OPEN = 154
    NO_OFFER = 155

    # Claims, 160–179.
    INSUFFICIENT_AVAILABLE = 160
    NOT_SUBMITTED = 161
    NOT_LOCK_OWNER = 162
    LOCK_LAPSED = 163
    UNKNOWN_CLAIM = 164
    CLAIM_CLOSED = 165
    TOO_MANY_CLAIMS = 166
    DISPUTED = 167

    # Booking, 180–189.
    REASON_REQUIRED = 180
    ALREADY_BOOKED = 181
    NOT_BOOKED = 182
    TOO_MANY_BOOKINGS = 183

    # Cancelling and red letters, 190–219.
    USE_RED_LETTER = 190
    OVER_CREDIT = 191
    FULL_ONLY = 192
    NOT_COUNTERPARTY = 193
    FORM_CLOSED = 194
    FORM_LAPSED = 195
    CLAIM_CONSENT_NEEDED = 196
    NOT_CONFIRMED = 197
    UNKNOWN_FORM = 198
    TOO_EARLY = 199
    TOO_MANY_FORMS = 200

    # Registers, 220–239.
    NOT_BUREAU = 220
    SEGMENT_OVERLAP = 221
    TOO_MANY_SEGMENTS = 222
    PERIOD_INVALID = 223
    NOT_HEAD_BUREAU = 224
    NOT_IN_REGION = 225
    TOO_MANY_REGIONS = 226
    ISSUING_STATE = 227
    NOT_REGIONAL_BUREAU = 228

    # Governance, 240–259.
    NOT_GOVERNOR = 240
    UNKNOWN_PROPOSAL = 241
    PROPOSAL_CLOSED = 242
    PROPOSAL_EXPIRED = 243
    ALREADY_VOTED = 244
    TOO_MANY_PROPOSALS = 245
    ALREADY_PROPOSED = 246
    NOT_PROPOSER = 247
    ALREADY_PARTICIPANT = 248
    PARTICIPANT_ID_INVALID = 249
    ROLES_INVALID = 250
    PARTICIPANT_STATE = 251
    BELOW_THRESHOLD = 252

    # Keys, 260–279.
    KEY_SCOPE = 260
    UNKNOWN_KEY = 261
    KEY_EXISTS = 262
    KEY_ENDED = 263
    TOO_MANY_KEYS = 264
    LAST_KEY = 265
    KEY_PROOF_INVALID = 266
    SCOPE_INVALID = 267

    # Shares of sealed details, and discrepancies, 280–299.
    NO_DETAILS = 280
    TOO_MANY_SHARES = 281
    LINE_OVER_CREDIT = 282
    ALREADY_RECORDED = 283
    NO_DISCREPANCY = 284
    DISCREPANCY_RESOLVED = 285

    # Invoices continued: payments, holds, use, 500–.
    OVER_PAID = 500
    NOT_BANK = 501
    REFERENCE_USED = 502
    ISSUING_HELD = 510
    ALREADY_HELD = 511
    NOT_HELD = 512
    SECOND_KEY_NEEDED = 513
    ALREADY_APPEALED = 514
    INVOICE_USED = 520
    INVOICE_NOT_USED = 521
    NOT_ACCEPTED = 522
    NOT_SPECIAL = 523


LEAFLESS_MAX = 19
"""Outcomes 1..19 leave no leaf and no txid record (ARCHITECTURE: Formats, Leaf)."""


class Table(IntEnum):
    """State tables. The number is part of the state digest: never renumbered, never reused."""

    # Enum's own is a function of Python's: 0.05 µs more for each of the rules' look-ups by table.
    __hash__ = int.__hash__

    META = 1
    """Single rows by name: the active rules version."""
    PARTICIPANT = 2
    TXID = 3
    """Live transactions: valid-until height (8 bytes, big-endian) ‖ txid → height applied."""
    SEGMENTS = 4
    QUOTA = 5
    TAX_RATES = 6
    EXCHANGE_RATE = 7
    INVOICE = 8
    ORDER = 9
    SHARE = 10
    """Content keys of sealed details, wrapped for readers who came later."""
    DISCREPANCY = 11
    """What the tax bureau's node found wrong in sealed details."""
    PROPOSAL = 12
    REGION = 13
    PAYMENT = 14
    """Payments attested, by the references that they used up."""
    HOLD = 15
    """Issuing holds, and the causes that had one."""


CODE_TEXTS: Mapping[Code, tuple[str, str]] = {
    Code.OK: ("Applied.", "已生效。"),
    Code.DUPLICATE: ("This transaction is on the ledger already.", "该交易已在账本上。"),
    Code.BAD_SIGNATURE: ("The author's signature does not verify.", "提交者签名无效。"),
    Code.WRONG_NETWORK: ("Signed for another network.", "该交易属于另一网络。"),
    Code.UNKNOWN_AUTHOR: (
        "The author is unknown, or the key not its own.",
        "提交者未知。",
    ),
    Code.EXPIRED: ("Not applied before its last height.", "交易在有效高度内未生效，已过期。"),
    Code.VALIDITY_TOO_LONG: ("Valid for more heights than allowed.", "有效高度跨度过长。"),
    Code.MALFORMED: ("The bytes are no transaction.", "数据不是有效的交易。"),
    Code.BLOB_MISMATCH: ("A sealed blob does not match its hash.", "密封附件与哈希不符。"),
    Code.AUTHOR_NOT_ACTIVE: ("The author is suspended or retired.", "提交者已被暂停或注销。"),
    Code.NOT_PERMITTED: (
        "The role or state of the author, or of the participant named, forbids this.",
        "提交者或所指参与方的角色或状态不允许此操作。",
    ),
    Code.UNKNOWN_PARTY: ("A named party is no participant.", "所指的参与方不存在。"),
    Code.PARTY_SIGNATURE_INVALID: ("A party's own signature does not verify.", "当事方签名无效。"),
    Code.RULE_FAULT: (
        "The rules failed over it: a fault of the program. It changed nothing.",
        "账本规则在执行该交易时出错（程序缺陷），交易未产生任何变更。",
    ),
    Code.DOMAIN_ABSENT: (
        "This network does not have the domain of that operation.",
        "本网络未启用该操作所属的业务域。",
    ),
    Code.UNKNOWN_INVOICE: ("There is no such invoice.", "发票不存在。"),
    Code.WRONG_PARTY: ("This party may not do this.", "该当事方无权进行此操作。"),
    Code.NOT_FROZEN: ("This case does not hold the invoice.", "该案件未冻结此发票。"),
    Code.RESPONSE_FINAL: ("The buyer's word is given already.", "购买方已答复，不可更改。"),
    Code.DEADLINE_PASSED: ("The term for an answer has passed.", "答复期限已过。"),
    Code.NOT_DISPUTED: ("The invoice is not disputed.", "发票不存在争议。"),
    Code.AMOUNT_INVALID: (
        "A partial acceptance, and nothing else, names an amount below the gross.",
        "部分接受（且仅部分接受）须填写小于价税合计的金额。",
    ),
    Code.DISPUTED: (
        "The buyer rejected or disputes the invoice.",
        "购买方已拒绝或正在争议该发票。",
    ),
    Code.FROZEN: ("The invoice is frozen by the tax bureau.", "发票已被税务机关冻结。"),
    Code.DOCUMENT_CLOSED: ("The invoice is cancelled or credited.", "发票已作废或已全额红冲。"),
    Code.RED_TAKES_NO_OPERATION: ("A red invoice takes no operation.", "红字发票不可操作。"),
    Code.NUMBER_NOT_ALLOTTED: ("The number is not allotted to the issuer.", "号码未分配给开票方。"),
    Code.NUMBER_USED: ("The number has been used.", "号码已被使用。"),
    Code.ISSUING_SUSPENDED: ("The issuer may not issue at present.", "开票方已被暂停开票。"),
    Code.QUOTA_PERIOD: ("No quota is valid at this time.", "当前不在额度有效期内。"),
    Code.QUOTA_EXCEEDED: ("The month's quota would be exceeded.", "超过当月开票额度。"),
    Code.RATE_NOT_ALLOWED: ("A tax rate is not in force for the issuer.", "税率对开票方无效。"),
    Code.TOTALS_MISMATCH: ("Net, tax and gross do not agree.", "金额、税额与价税合计不符。"),
    Code.NOTHING_TO_INVOICE: ("The gross amount is not positive.", "合计金额不为正，无可开票。"),
    Code.ORDER_CONFLICT: ("The order has another invoice already.", "该订单已开具另一发票。"),
    Code.NO_EXCHANGE_RATE: ("No exchange rate of the currency is in force.", "该币种无有效汇率。"),
    Code.DATE_INVALID: ("The issue date is no date.", "开票日期无效。"),
    Code.NOT_HOLDER: ("Only the holder may do this.", "仅持有方可操作。"),
    Code.HAS_CLAIM: ("Part of the invoice is claimed or reimbursed.", "发票已被锁定或报销。"),
    Code.RED_PENDING: ("A red-letter form is open.", "存在未完结的红字信息表。"),
    Code.OFFER_EXPIRED: ("The offer has expired.", "转让要约已过期。"),
    Code.OFFER_OPEN: ("An offer is open.", "存在未完结的转让要约。"),
    Code.NO_OFFER: ("No offer is open.", "没有未完结的转让要约。"),
    Code.INSUFFICIENT_AVAILABLE: ("More than what is available.", "超过可用金额。"),
    Code.NOT_SUBMITTED: ("Not submitted to this reimburser.", "未提交给该报销方。"),
    Code.NOT_LOCK_OWNER: ("Another reimburser holds this lock.", "锁定属于另一报销方。"),
    Code.LOCK_LAPSED: ("The lock's term has passed.", "锁定已到期。"),
    Code.UNKNOWN_CLAIM: ("There is no such claim.", "锁定不存在。"),
    Code.CLAIM_CLOSED: ("The claim locks nothing any more.", "该锁定已结束。"),
    Code.TOO_MANY_CLAIMS: ("The invoice carries too many claims.", "发票上的锁定过多。"),
    Code.REASON_REQUIRED: ("A reason is required.", "须填写原因。"),
    Code.ALREADY_BOOKED: ("Booked by this party already.", "该当事方已入账。"),
    Code.NOT_BOOKED: ("Not booked by this party.", "该当事方未入账。"),
    Code.TOO_MANY_BOOKINGS: ("Too many parties have booked the invoice.", "发票入账记录过多。"),
    Code.USE_RED_LETTER: (
        "Too late or in use: ask for a red letter.",
        "不可作废，请使用红字发票。",
    ),
    Code.OVER_CREDIT: ("More than what is left to credit.", "红冲金额超过剩余金额。"),
    Code.FULL_ONLY: ("An issuing error is credited in full only.", "开票有误只能全额红冲。"),
    Code.NOT_COUNTERPARTY: ("Only the form's other side may do this.", "仅信息表对方可操作。"),
    Code.FORM_CLOSED: ("The form is closed.", "信息表已完结。"),
    Code.FORM_LAPSED: ("The form's term has passed.", "信息表已逾期。"),
    Code.CLAIM_CONSENT_NEEDED: ("A reimburser must consent first.", "须先取得报销方同意。"),
    Code.NOT_CONFIRMED: ("The form is not confirmed.", "信息表未确认。"),
    Code.UNKNOWN_FORM: ("There is no such form.", "信息表不存在。"),
    Code.TOO_EARLY: ("The term has not passed yet.", "期限未到。"),
    Code.TOO_MANY_FORMS: ("The invoice carries too many forms.", "发票上的信息表过多。"),
    Code.NOT_BUREAU: ("Only the tax bureau may do this.", "仅税务机关可操作。"),
    Code.SEGMENT_OVERLAP: ("Some of the numbers are allotted already.", "号段与已分配号段重叠。"),
    Code.TOO_MANY_SEGMENTS: ("The issuer holds too many segments.", "开票方持有的号段过多。"),
    Code.PERIOD_INVALID: ("The period is not valid.", "期间无效。"),
    Code.NOT_HEAD_BUREAU: ("Only a head bureau may do this.", "仅上级税务机关可操作。"),
    Code.NOT_IN_REGION: ("The numbers are not this bureau's to allot.", "号码不在本机关的号段内。"),
    Code.TOO_MANY_REGIONS: ("The bureau holds too many ranges.", "该税务机关持有的号段过多。"),
    Code.NOT_REGIONAL_BUREAU: (
        "Ranges are for regional tax bureaus; a head bureau allots any number itself.",
        "号段仅分配给下级税务机关；上级税务机关可直接分配任何号码。",
    ),
    Code.ISSUING_STATE: ("Issuing is suspended, or open, already.", "开票状态已是如此。"),
    Code.NOT_GOVERNOR: ("Only an active governor may do this.", "仅在任治理方可操作。"),
    Code.UNKNOWN_PROPOSAL: (
        "There is no such proposal about this participant.",
        "没有关于该参与方的此提案。",
    ),
    Code.PROPOSAL_CLOSED: ("The proposal is decided or withdrawn.", "提案已有结果或已撤回。"),
    Code.PROPOSAL_EXPIRED: ("The proposal's term has passed.", "提案已过期。"),
    Code.ALREADY_VOTED: ("This governor has voted.", "该治理方已投票。"),
    Code.TOO_MANY_PROPOSALS: ("Too many proposals are open.", "未决提案过多。"),
    Code.ALREADY_PROPOSED: (
        "The very same is proposed already; vote on it, or give another nonce.",
        "相同的提案已存在；请对其表决，或更换 nonce。",
    ),
    Code.NOT_PROPOSER: ("Only the proposer may withdraw it.", "仅提案方可撤回。"),
    Code.ALREADY_PARTICIPANT: ("It is a participant already.", "该主体已是参与方。"),
    Code.PARTICIPANT_ID_INVALID: (
        "The unified social credit code fails its check digit.",
        "统一社会信用代码校验不通过。",
    ),
    Code.ROLES_INVALID: ("Roles must differ and ascend.", "角色须互异且按序排列。"),
    Code.PARTICIPANT_STATE: (
        "The participant's state or roles do not permit this.",
        "参与方的状态或角色不允许此操作。",
    ),
    Code.BELOW_THRESHOLD: (
        "Fewer governors than the threshold would be left.",
        "在任治理方将少于表决门槛。",
    ),
    Code.KEY_SCOPE: (
        "The signing key's scope does not permit this.",
        "签名密钥的用途不允许此操作。",
    ),
    Code.UNKNOWN_KEY: ("The participant has no such key.", "参与方没有此密钥。"),
    Code.KEY_EXISTS: ("The participant has this key already.", "参与方已有此密钥。"),
    Code.KEY_ENDED: ("The key was revoked or has ended.", "密钥已撤销或已到期。"),
    Code.TOO_MANY_KEYS: ("The participant has too many live keys.", "参与方的有效密钥过多。"),
    Code.LAST_KEY: (
        "A key that governs keys, and one to seal to, must stay without end.",
        "须保留至少一个无期限的密钥管理密钥和一个加密密钥。",
    ),
    Code.KEY_PROOF_INVALID: (
        "The new key's own signature does not verify.",
        "新密钥的自签名无效。",
    ),
    Code.SCOPE_INVALID: ("A signing key needs a scope, a sealing key has none.", "密钥用途无效。"),
    Code.NO_DETAILS: ("The invoice has no sealed details.", "发票没有加密明细。"),
    Code.TOO_MANY_SHARES: ("The details were shared with too many readers.", "明细共享对象过多。"),
    Code.LINE_OVER_CREDIT: (
        "A line takes back more than its original line has left.",
        "红冲行超过原行剩余金额。",
    ),
    Code.ALREADY_RECORDED: ("This discrepancy is recorded already.", "该差异已登记。"),
    Code.NO_DISCREPANCY: ("No such discrepancy is recorded.", "该差异未登记。"),
    Code.DISCREPANCY_RESOLVED: ("The discrepancy is resolved already.", "该差异已处理。"),
    Code.OVER_PAID: ("More than is still to be paid of the invoice.", "超过该发票的未付金额。"),
    Code.NOT_BANK: (
        "Only the issuer, or a bank, attests a payment.",
        "只有开票方或银行可以证明付款。",
    ),
    Code.REFERENCE_USED: (
        "This payment reference has been used.",
        "该付款凭证号已被使用。",
    ),
    Code.ISSUING_HELD: (
        "The tax bureau holds this issuer's invoices until a time.",
        "税务机关已暂缓该企业开票，到期自动解除。",
    ),
    Code.ALREADY_HELD: (
        "The issuer is held, or has been held for this cause.",
        "该企业已被暂缓开票，或已因同一事由暂缓过。",
    ),
    Code.NOT_HELD: ("No such hold is live.", "没有有效的暂缓开票措施。"),
    Code.SECOND_KEY_NEEDED: (
        "A second key of the tax bureau must sign too.",
        "须由税务机关的另一把密钥共同签名。",
    ),
    Code.ALREADY_APPEALED: ("This hold has been appealed.", "已就该措施提出申诉。"),
    Code.INVOICE_USED: ("The invoice's tax is used already.", "该发票已抵扣或已用于退税。"),
    Code.INVOICE_NOT_USED: ("The invoice is not deducted.", "该发票未抵扣。"),
    Code.NOT_ACCEPTED: ("The buyer has not accepted the invoice.", "购买方尚未确认该发票。"),
    Code.NOT_SPECIAL: ("Only a special invoice can be deducted.", "只有专用发票可以抵扣。"),
}
"""By code: English, Chinese. Complete: a test compares it with `Code`."""


def refusal_text(code: Code | str | None) -> str:
    """What a refusal means, in English; of a code that a newer node knows, that it was refused."""
    name = code.name if isinstance(code, Code) else code
    known = Code.__members__.get(name or "")
    return "refused by the rules of the ledger" if known is None else CODE_TEXTS[known][0]
