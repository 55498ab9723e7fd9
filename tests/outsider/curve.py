"""Points of Ed25519's curve, small ones among them, of which no library makes signatures.

Owns the arithmetic (RFC 8032, section 5.1), slow and plain; knows no message.
"""

from __future__ import annotations

P = 2**255 - 19
D = -121_665 * pow(121_666, -1, P) % P
ORDER = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P,
    )


def multiply(scalar: int, point: Point) -> Point:
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def encode(point: Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _point(y: int) -> Point | None:
    """The one of even x, if there is any."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x if x % 2 == 0 else P - x, y) if x * x % P == square else None


def _torsion() -> tuple[Point, ...]:
    """The eight points whose multiple by 8 is nothing."""
    for y in range(2, 100):
        point = _point(y)
        small = multiply(ORDER, point) if point else (0, 1)
        if multiply(4, small) != (0, 1):
            return tuple(multiply(n, small) for n in range(8))
    raise AssertionError


_base = _point(4 * pow(5, -1, P) % P)
assert _base is not None
BASE = _base
TORSION = _torsion()
