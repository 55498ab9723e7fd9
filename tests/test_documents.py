"""The documents tell what is so: links lead somewhere, tables agree with the product."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests import modules
from tests.test_interface import COMMANDS, PATHS

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {"node_modules", "dist"}
RULE_BOOK = "node/domains/invoices/README.md"
PROGRAM = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def documents() -> Iterator[str]:
    for path in sorted(ROOT.rglob("*.md")):
        folders = path.relative_to(ROOT).parts[:-1]
        if not any(name.startswith(".") or name in NOT_OURS for name in folders):
            yield str(path.relative_to(ROOT))


DOCUMENTS = list(documents())


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def prose(path: str) -> str:
    """Without programs and what stands in backticks: what is left has links and headings."""
    return re.sub(r"`[^`\n]*`", "", PROGRAM.sub("", text(path)))


@cache
def anchors(path: str) -> frozenset[str]:
    """Of the headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} (.*)$", PROGRAM.sub("", text(path)), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        before = sum(other == slug for other in found)
        found.append(f"{slug}-{before}" if before else slug)
    return frozenset(found)


# --- Links ------------------------------------------------------------------------------------


def test_the_documents_are_found() -> None:
    assert {"README.md", "ARCHITECTURE.md", RULE_BOOK, "consensus/README.md"} <= set(DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_anchor_leads_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    for link in re.findall(r"\]\(<?([^)>\s]+)>?\)", prose(document)):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = unquote(link).partition("#")
        path = (folder / target).resolve() if target else ROOT / document
        assert path.exists(), f"{document}: {link}"
        assert path.is_relative_to(ROOT), f"{document}: {link} lies outside of the repository"
        if anchor:
            assert anchor in anchors(str(path.relative_to(ROOT))), f"{document}: {link}"


@pytest.mark.parametrize(
    "document", [name for name in DOCUMENTS if name not in {"CHANGELOG.md", "DECISIONS.md"}]
)
def test_a_document_names_only_files_that_exist(document: str) -> None:
    """What is over (the changelog, decisions) may name what was."""
    named = re.findall(r"`((?:consensus|p2p|node|tests|configs|docker)/[\w./-]*)`", text(document))
    assert [path for path in named if not (ROOT / path).exists()] == []


# --- README -----------------------------------------------------------------------------------


def test_the_readme_gives_the_two_commands_and_the_status_request() -> None:
    readme = text("README.md")
    assert "\nmake demo\n" in readme
    assert "\nmake test\n" in readme
    assert 'curl -H "Authorization: Bearer $(cat ' in readme
    assert '/tokens/read.token)" http://127.0.0.1:8101/v1/status' in readme


def test_the_readme_is_short_and_its_picture_light() -> None:
    assert len(text("README.md").split()) < 1_000
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text("README.md"))
    assert (ROOT / picture).stat().st_size < 150_000


def test_the_chinese_readme_has_the_same_commands_headings_and_links() -> None:
    english, chinese = text("README.md"), text("README.zh.md")
    for found in (r"```sh\n.*?```", r"^#+ ", r"\]\(((?!README)[^)#]+)"):
        flags = re.MULTILINE | re.DOTALL
        assert sorted(re.findall(found, english, flags)) == sorted(
            re.findall(found, chinese, flags)
        ), found


def test_every_make_target_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        if document in {"CHANGELOG.md", "DECISIONS.md"}:
            continue
        named = re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text(document), re.MULTILINE)
        assert set(named) <= targets, document


# --- ARCHITECTURE and DECISIONS ---------------------------------------------------------------


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(n) for n in re.findall(r"^## (\d+)\. ", text("DECISIONS.md"), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_decisions_are_listed_by_subject_once_each() -> None:
    decisions = text("DECISIONS.md")
    index, records = decisions.split("\n## 1. ")
    titles = re.findall(r"^## (\d+\. .*)$", "## 1. " + records, re.MULTILINE)
    listed = re.findall(r"^- \[(\d+\. [^\n]*)\]\(#", index, re.MULTILINE)
    assert sorted(listed) == sorted(titles)


def test_a_decision_that_is_superseded_is_so_from_both_ends() -> None:
    records = re.split(r"^## (\d+)\. ", text("DECISIONS.md"), flags=re.MULTILINE)[1:]
    statuses = {
        int(number): record.split("**Status**: ")[1].split("\n")[0].lower()
        for number, record in zip(records[::2], records[1::2], strict=True)
    }
    by, of = (
        {
            (number, int(other))
            for number, status in statuses.items()
            for other in re.findall(rf"{word} (?:[a-z]+ )*(\d+)", status)
        }
        for word in ("superseded by", "supersedes")
    )
    assert by
    assert by == {(old, new) for new, old in of}


def test_the_list_of_modules_is_what_the_docstrings_say() -> None:
    for path, made in modules.lists().items():
        assert path.read_text("utf-8") == made, f"{path}: stale, run `make modules`"


# --- Commands and paths -----------------------------------------------------------------------

OF_NOW = [name for name in DOCUMENTS if name not in {"CHANGELOG.md", "DECISIONS.md"}]


def told_commands(document: str) -> Iterator[list[str]]:
    """The words of each `piaolian …` in programs and in backticks."""
    whole = re.sub(r"\$\((?!piaolian)[^)]*\)", "VALUE", text(document).replace("\\\n", " "))
    programs = "\n".join(match[0] for match in PROGRAM.finditer(whole))
    spans = re.findall(r"`([^`\n]+)`", PROGRAM.sub("", whole))
    for line in (*programs.splitlines(), *spans):
        for said in re.findall(r"(?:^|[\s(/])piaolian ([a-z][^#|)&]*)", line):
            yield said.split()


@pytest.mark.parametrize("document", OF_NOW)
def test_every_command_that_a_document_tells_exists_with_its_options(document: str) -> None:
    groups = {" ".join(name.split()[:n]) for name in COMMANDS for n in (1, 2)}
    for words in told_commands(document):
        said = f"{document}: piaolian {' '.join(words)}"
        longest = [words[:n] for n in (3, 2, 1) if " ".join(words[:n]) in COMMANDS.keys() | groups]
        assert longest, said
        known = " ".join(longest[0])
        if known in COMMANDS:
            options = {word.split("=")[0] for word in words if re.match("--?[a-z]", word)}
            assert options <= COMMANDS[known] | {"--help"}, said
        else:
            after = words[len(longest[0]) :]
            assert not after or not re.fullmatch("[a-z][a-z-]+", after[0]), said


def test_the_documents_tell_many_commands() -> None:
    assert sum(len(list(told_commands(document))) for document in OF_NOW) > 80


@pytest.mark.parametrize("document", OF_NOW)
def test_every_path_that_a_document_tells_is_served(document: str) -> None:
    shapes = [
        re.compile(re.sub(r"\\{[^}]*\\}", r"[^/?]+", re.escape(path.split()[1]))) for path in PATHS
    ]
    for told in re.findall(
        r"(?:`|GET |POST |:\d{4})(/(?:v1/|verify|livez|readyz)[^\s`?\"]*)", text(document)
    ):
        path = told.rstrip("/….,")
        assert any(shape.fullmatch(path) for shape in shapes), f"{document}: {told}"
