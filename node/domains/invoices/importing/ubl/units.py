"""Units of a quantity as UN/ECE Recommendation 20 codes them. Owns the words that traders write.

A unit that is neither a code nor a known word becomes `ZZ`, "mutually defined": the norm wants a
code, and a wrong one would say another quantity. What was written stands beside it in the document.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from node.domains.invoices.importing.ubl.codes import is_code

ONE = "C62"
"""A quantity without a unit."""
MUTUALLY_DEFINED = "ZZ"

_WORDS: Mapping[str, str] = {
    word: code
    for code, words in (
        (ONE, "unit units one 单位"),
        ("H87", "piece pieces pc pcs item items 个 件 只 枚 颗 粒 块 支 根 条 片 头"),
        ("EA", "each ea"),
        ("SET", "set sets 套 组 副"),
        ("PR", "pair pairs 双 对"),
        ("DZN", "dozen dozens 打"),
        ("XBX", "box boxes 盒"),
        ("XCT", "carton cartons 箱 纸箱"),
        ("XBG", "bag bags 袋"),
        ("XPK", "pack packs package packages packet packets 包"),
        ("XBO", "bottle bottles 瓶"),
        ("XCX", "can cans tin tins 罐 听"),
        ("XBE", "bundle bundles 捆 扎"),
        ("XRO", "roll rolls 卷"),
        ("XBJ", "bucket buckets pail pails 桶"),
        ("XDR", "drum drums"),
        ("XPX", "pallet pallets 托"),
        ("XST", "sheet sheets 张"),
        ("XTU", "tube tubes 管"),
        ("XCS", "case cases"),
        ("XUN", "台 辆 部 架 艘 machine machines vehicle vehicles"),
        ("XPP", "份 页"),
        ("KGM", "kilogram kilograms kilogramme kilo kilos kg kgs 千克 公斤"),
        ("GRM", "gram grams gramme g 克"),
        ("MGM", "milligram mg 毫克"),
        ("TNE", "tonne tonnes t 吨"),
        ("LBR", "pound pounds lb lbs 磅"),
        ("ONZ", "ounce ounces oz 盎司"),
        ("MTR", "metre metres meter meters m 米"),
        ("CMT", "centimetre centimeter cm 厘米"),
        ("MMT", "millimetre millimeter mm 毫米"),
        ("KMT", "kilometre kilometer km 千米 公里"),
        ("FOT", "foot feet ft 英尺"),
        ("INH", "inch inches 英寸"),
        ("MTK", "m2 m² sqm 平方米 平米"),
        ("MTQ", "m3 m³ cbm 立方米"),
        ("LTR", "litre litres liter liters l 升"),
        ("MLT", "millilitre milliliter ml 毫升"),
        ("KWH", "kwh 千瓦时"),
        ("MWH", "mwh 兆瓦时"),
        ("HUR", "hour hours h hr hrs 小时 时"),
        ("MIN", "minute minutes min 分钟"),
        ("SEC", "second seconds s sec 秒"),
        ("DAY", "day days d 天 日"),
        ("WEE", "week weeks 周 星期"),
        ("MON", "month months 月 个月"),
        ("ANN", "year years 年"),
        ("E48", "service services 项 次"),
        ("P1", "percent % 百分比"),
    )
    for word in words.split()
}


def unit_code(text: str) -> str:
    """The code of a unit: itself, or the one of a known word; else `ZZ`."""
    if not text:
        return ONE
    if is_code("unit", text):
        return text
    # Full-width letters and dots of abbreviations are ways of writing, not other units.
    word = unicodedata.normalize("NFKC", text).strip().rstrip(".").casefold()
    return _WORDS.get(text.casefold()) or _WORDS.get(word, MUTUALLY_DEFINED)
