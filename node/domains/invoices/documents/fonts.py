"""The fonts that documents embed: where they are, and what they hold. Owns the choice.

Noto Sans SC and Noto Serif SC hold Chinese, and Source Sans Pro, whose letters have the same
drawing, the European letters that they lack. All are under the SIL Open Font License 1.1 and come
as packages, so that every node prints the same bytes wherever it runs.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


class FontError(RuntimeError):
    """A font package is missing or is not what it was."""


SANS = ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf")
SERIF = ("pylopdf_fonts_zh_cn", "NotoSerifSC-Regular.otf")
LETTERS = ("font_source_sans_pro", "files/SourceSansPro-Regular.ttf")
STRONG = ("font_source_sans_pro", "files/SourceSansPro-Semibold.ttf")


@lru_cache(maxsize=8)
def font_path(font: tuple[str, str]) -> Path:
    """The file of a font.

    Raises:
        FontError: it is not installed.
    """
    package, file = font
    spec = find_spec(package)  # the packages' own modules do more on import than we need
    if spec is None or spec.origin is None:
        raise FontError(f"the font package {package} is not installed")
    path = Path(spec.origin).parent / file
    if not path.is_file():
        raise FontError(f"the font package {package} holds no {file}")
    return path
