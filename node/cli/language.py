"""In which language commands speak to people: help, messages, names of fields. `--json` has none.

The English text is the key: what a catalogue does not know is said in English. A text with `{}`
stands for every message with something in that place. Owns the look-up; the words are in `lang/`,
of a domain in its own `cli/lang/`. Knows no command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources.abc import Traversable

from node.cli.errors import UsageError

VARIABLE = "PIAOLIAN_LANG"
LANGUAGES = ("en", "zh")
_FILE_BYTES_MAX = 1 << 20
_LETTERS = re.compile(r"[A-Za-z]{2}")


class Language:
    """The catalogue in use; empty: English."""

    def __init__(self) -> None:
        self._texts: Mapping[str, str] = {}
        self._fields: Mapping[str, str] = {}
        self._patterns: Sequence[tuple[re.Pattern[str], str]] = ()

    @property
    def is_english(self) -> bool:
        """Whether nothing is translated."""
        return not self._texts

    def use(self, name: str, folders: Iterable[Traversable], more: Mapping[str, str]) -> None:
        """Speak a language from now on.

        Args:
            name: One of `LANGUAGES`.
            folders: Each may hold `<name>.json` with `texts` and `fields`.
            more: Further texts, for any language but English.
        """
        texts: dict[str, str] = {}
        fields: dict[str, str] = {}
        if name != LANGUAGES[0]:
            texts |= more
            for folder in folders:
                found = folder / f"{name}.json"
                if found.is_file():
                    catalogue = json.loads(found.read_bytes()[:_FILE_BYTES_MAX])
                    texts |= catalogue.get("texts", {})
                    fields |= catalogue.get("fields", {})
        self._texts, self._fields = texts, fields
        shapes = [(_pattern(text), said) for text, said in texts.items() if "{}" in text]
        # What says most comes first: `{}: no such file` before `{}: {}`.
        self._patterns = sorted(shapes, key=lambda shape: -len(shape[0].pattern))

    def said(self, text: str) -> str:
        """A message or a help text, as far as it is known."""
        if not self._texts or not _LETTERS.search(text):
            return text
        found = self._texts.get(text) or self._texts.get(text.split("\n\n", maxsplit=1)[0])
        if found is not None:
            return found
        for pattern, said in self._patterns:
            match = pattern.fullmatch(text)
            if match is not None:
                return said.format(*(self.said(part or "") for part in match.groups()))
        return self._in_parts(text)

    def field(self, name: str) -> str:
        """The name of a field."""
        return self._fields.get(name, name)

    def _in_parts(self, text: str) -> str:
        """A text of which only the end, or each sentence, is known."""
        head, colon, tail = text.partition(": ")
        if colon and self.said(tail) != tail:
            return f"{head}：{self.said(tail)}"
        sentences = re.split(r"(?<=\.) (?=[A-Z])", text)
        return "".join(map(self.said, sentences)) if len(sentences) > 1 else text


def chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language that a command line asks for before its command, or the environment.

    Raises:
        UsageError: there is none of that name.
    """
    name, variable = environment.get(VARIABLE) or LANGUAGES[0], VARIABLE
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if not word.startswith("-") or word == "--":
            break
        if option == "--lang":
            name, variable = value if equals else next(words, ""), "--lang"
    if name not in LANGUAGES:
        raise UsageError(f"{variable} {name}: must be one of {', '.join(LANGUAGES)}")
    return name


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, text.split("{}"))), re.DOTALL)


LANGUAGE = Language()
"""Of this process, which runs one command."""
said: Callable[[str], str] = LANGUAGE.said
