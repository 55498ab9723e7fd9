"""MODULES.md: every module with the first sentence of its docstring. `make modules` writes it.

A domain's modules stand in its own list, so that whoever works in a domain touches no other file.
Owns how the lists are made; `tests/test_documents.py` says when one is stale. Reads the sources,
and imports none of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("consensus", "p2p", "node")
_HOW = (
    "Made from the first sentence of each module's docstring by `make modules`; not edited by hand."
)
_ALL = f"""# Modules

{_HOW}
What the packages are for, and which may know which, stands in [ARCHITECTURE.md](ARCHITECTURE.md);
what a module owns and must not know, in the rest of its docstring. A domain has a list of its own:
"""
# A full stop ends a sentence when what follows begins another: `node.toml` and `e.g.` go on.
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`(])")


def lists() -> dict[Path, str]:
    """The whole text of each list, by its file."""
    folders = list(_folders())
    domains = [folder for folder in folders if folder.parent == ROOT / "node" / "domains"]
    made: dict[Path, str] = {}
    for domain in domains:
        law = ROOT / "node" / "ledger" / domain.name
        own = [folder for folder in folders if {domain, law} & {folder, *folder.parents}]
        folders = [folder for folder in folders if folder not in own]
        made[domain / "MODULES.md"] = _text(f"# Modules of {domain.name}\n\n{_HOW}\n", own)
    names = [f"[{path.parent.name}]({path.relative_to(ROOT)})" for path in made]
    made[ROOT / "MODULES.md"] = _text(f"{_ALL}{', '.join(names)}.\n", folders)
    return made


def _text(head: str, folders: Sequence[Path]) -> str:
    parts = [head]
    for folder in folders:
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
    for path, text in lists().items():
        path.write_text(text, "utf-8")
