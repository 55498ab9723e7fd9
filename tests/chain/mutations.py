"""Changed copies of a text file, as a forger, a bad line or a careless editor makes them."""

from __future__ import annotations

import random  # noqa: TID251  # seeded
from collections.abc import Callable, Iterator, Sequence

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_EM_DASH = "—".encode()


class Mutator:
    """Each method changes `data` in one manner; it may fail to change anything."""

    def __init__(self, data: bytes, others: Sequence[bytes], rng: random.Random) -> None:
        self._data = data
        self._lines = data.split(b"\n")
        self._others = [other.split(b"\n") for other in others]
        self._rng = rng

    def bit(self) -> bytes:
        """One to three bits are flipped."""
        data = bytearray(self._data)
        for _ in range(self._rng.randint(1, 3)):
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def character(self) -> bytes:
        """A character of base64 becomes another."""
        at = self._rng.randrange(len(self._data))
        return self._data[:at] + self._rng.choice(_ALPHABET).to_bytes() + self._data[at + 1 :]

    def truncation(self) -> bytes:
        """The end is missing."""
        return self._data[: self._rng.randrange(len(self._data))]

    def hole(self) -> bytes:
        """A piece is missing."""
        start = self._rng.randrange(len(self._data))
        return self._data[:start] + self._data[start + self._rng.randint(1, 60) :]

    def stutter(self) -> bytes:
        """A piece is there twice."""
        start = self._rng.randrange(len(self._data))
        end = start + self._rng.randint(1, 60)
        return self._data[:end] + self._data[start:]

    def swapped_lines(self) -> bytes:
        """Two lines change places."""
        lines = list(self._lines)
        a, b = self._rng.randrange(len(lines)), self._rng.randrange(len(lines))
        lines[a], lines[b] = lines[b], lines[a]
        return b"\n".join(lines)

    def missing_line(self) -> bytes:
        """A line is left out."""
        at = self._rng.randrange(len(self._lines))
        return b"\n".join(self._lines[:at] + self._lines[at + 1 :])

    def doubled_line(self) -> bytes:
        """A line, such as a cosignature, is there twice."""
        at = self._rng.randrange(len(self._lines))
        return b"\n".join(self._lines[: at + 1] + self._lines[at:])

    def spliced_line(self) -> bytes:
        """A line is that of another file."""
        lines = list(self._lines)
        lines[self._rng.randrange(len(lines))] = self._rng.choice(self._rng.choice(self._others))
        return b"\n".join(lines)

    def same_line_of_another(self) -> bytes:
        """Some lines are those which another file has at the same place."""
        lines, other = list(self._lines), self._rng.choice(self._others)
        for _ in range(self._rng.randint(1, 3)):
            at = self._rng.randrange(min(len(lines), len(other)))
            lines[at] = other[at]
        return b"\n".join(lines)

    def other_end(self) -> bytes:
        """The beginning of this file and the end of another."""
        other = self._rng.choice(self._others)
        here, there = self._rng.randrange(len(self._lines)), self._rng.randrange(len(other))
        return b"\n".join(self._lines[:here] + other[there:])

    def padding(self) -> bytes:
        """Another spelling of the same base64: no padding, more of it, or its unused bits set."""
        ends = [n for n, line in enumerate(self._lines) if line.endswith(b"=")]
        if not ends:
            return self._data
        lines, at = list(self._lines), self._rng.choice(ends)
        bare = lines[at].rstrip(b"=")
        pad = len(lines[at]) - len(bare)
        twin = _ALPHABET[_ALPHABET.index(bare[-1]) ^ 1].to_bytes()
        lines[at] = self._rng.choice(
            (bare, bare + b"=" * (pad + 1), bare + b"====", bare[:-1] + twin + b"=" * pad)
        )
        return b"\n".join(lines)

    def whitespace(self) -> bytes:
        """Spaces, tabs and line ends that a tool may add."""
        kind = self._rng.randrange(6)
        if kind == 0:
            return self._data.replace(b"\n", b"\r\n")
        if kind == 1:
            return self._data.rstrip(b"\n")
        if kind == 2:
            return b"\xef\xbb\xbf" + self._data
        lines, at = list(self._lines), self._rng.randrange(len(self._lines))
        blank = self._rng.choice((b" ", b"\t", b"\r", b"\x00", b"\xc2\xa0", b"\n"))
        if kind == 3:
            lines[at] += blank
        elif kind == 4:
            lines[at] = blank + lines[at]
        else:
            middle = self._rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:middle] + blank + lines[at][middle:]
        return b"\n".join(lines)

    def renamed_signer(self) -> bytes:
        """A signature line has another name: it counts for nobody, so a signer is missing."""
        lines = list(self._lines)
        signed = [n for n, line in enumerate(lines) if line.startswith(_EM_DASH)]
        if not signed:
            return self._data
        at = self._rng.choice(signed)
        dash, name, blob = lines[at].split(b" ")
        other = self._rng.choice((name + b"x", name[:-1], name.upper(), b"witness.example.com"))
        lines[at] = b" ".join((dash, other, blob))
        return b"\n".join(lines)

    def renamed_key(self) -> bytes:
        """A signature line has another key id under the same name."""
        lines = list(self._lines)
        signed = [n for n, line in enumerate(lines) if line.startswith(_EM_DASH)]
        if not signed:
            return self._data
        at = self._rng.choice(signed)
        head, _, blob = lines[at].rpartition(b" ")
        other = bytes(self._rng.choice(_ALPHABET) for _ in range(5))
        lines[at] = head + b" " + other + blob[5:]
        return b"\n".join(lines)

    def number_spelled(self) -> bytes:
        """A number has the same value and another spelling."""
        numbers = [n for n, line in enumerate(self._lines) if line.split(b" ")[-1].isdigit()]
        if not numbers:
            return self._data
        lines, at = list(self._lines), self._rng.choice(numbers)
        *words, digits = lines[at].split(b" ")
        spelled = self._rng.choice((b"0" + digits, b"+" + digits, digits + b".0", digits + b"_0"))
        lines[at] = b" ".join([*words, spelled])
        return b"\n".join(lines)

    def cut_extra(self) -> bytes:
        """The data of one line is in two."""
        lines = list(self._lines)
        extra = [n for n, line in enumerate(lines) if line.startswith(b"extra ")]
        if not extra:
            return self._data
        at = self._rng.choice(extra)
        middle = 6 + 4 * self._rng.randrange(1, max(2, len(lines[at]) // 4 - 1))
        lines[at : at + 1] = [lines[at][:middle], b"extra " + lines[at][middle:]]
        return b"\n".join(lines)

    def number(self) -> bytes:
        """A number, such as the index or the tree's size, is another."""
        numbers = [n for n, line in enumerate(self._lines) if line.split(b" ")[-1].isdigit()]
        if not numbers:
            return self._data
        lines, at = list(self._lines), self._rng.choice(numbers)
        *words, digits = lines[at].split(b" ")
        value = max(0, int(digits) + self._rng.choice((-2, -1, 1, 2, 1 << 20, 1 << 64)))
        lines[at] = b" ".join([*words, str(value).encode()])
        return b"\n".join(lines)


_KINDS: tuple[Callable[[Mutator], bytes], ...] = (
    Mutator.bit,
    Mutator.character,
    Mutator.truncation,
    Mutator.hole,
    Mutator.stutter,
    Mutator.swapped_lines,
    Mutator.missing_line,
    Mutator.doubled_line,
    Mutator.spliced_line,
    Mutator.same_line_of_another,
    Mutator.other_end,
    Mutator.padding,
    Mutator.whitespace,
    Mutator.number,
    Mutator.number_spelled,
    Mutator.renamed_signer,
    Mutator.renamed_key,
    Mutator.cut_extra,
)


def mutations(data: bytes, others: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` different changed copies of `data`, of all kinds in turn.

    Args:
        data: The true file.
        others: Files whose parts are spliced in; a result that is one of them is left out.
        count: How many.
        seed: Two calls with one seed give the same.
    """
    mutator = Mutator(data, others, random.Random(seed))
    seen = {data, *others}
    made = tries = 0
    while made < count:
        changed = _KINDS[tries % len(_KINDS)](mutator)
        tries += 1
        if changed not in seen:
            seen.add(changed)
            made += 1
            yield changed
