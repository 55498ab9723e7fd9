"""MODULES.md: every module with the first sentence of its docstring. `make modules` writes it.

Owns how the list is made; `tests/test_documents.py` says when it is stale. Reads the sources, and
imports none of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "MODULES.md"
PACKAGES = ("consensus", "p2p", "node")
_HEAD = """# Modules

Made from the first sentence of each module's docstring by `make modules`; do not edit it by hand.
What the packages are for, and which may know which, stands in [ARCHITECTURE.md](ARCHITECTURE.md);
what a module owns and must not know, in the rest of its docstring.
"""
# A full stop ends a sentence when what follows begins another: `node.toml` and `e.g.` go on.
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`(])")


def listed() -> str:
    """The whole text of MODULES.md."""
    parts = [_HEAD]
    for folder in _folders():
        name = ".".join(folder.relative_to(ROOT).parts)
        parts.append(f"## {name}\n\n{first_sentence(folder / '__init__.py')}\n")
        modules = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
        if modules:
            parts.append("\n".join(f"- `{p.stem}`: {first_sentence(p)}" for p in modules) + "\n")
    return "\n".join(parts)


def first_sentence(path: Path) -> str:
    """Of a module's docstring.

    Raises:
        ValueError: it has none.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    if not docstring:
        raise ValueError(f"{path}: no docstring")
    return _END.split(" ".join(docstring.split("\n\n")[0].split()))[0]


def _folders() -> Iterator[Path]:
    for package in PACKAGES:
        for init in sorted((ROOT / package).rglob("__init__.py"), key=lambda path: path.parts[:-1]):
            yield init.parent


if __name__ == "__main__":
    LIST.write_text(listed(), "utf-8")
