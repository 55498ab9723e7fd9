"""Token buckets. Pure: time comes in as an argument."""

from __future__ import annotations


class TokenBucket:
    """`rate` tokens a second, at most `burst` saved up. Takes may overdraw; debt is waited off."""

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now_s

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount`; the seconds to wait until the debt is paid, 0 when there is none."""
        self._refill(now_s)
        self._tokens -= amount
        return max(0.0, -self._tokens / self._rate)

    def try_take(self, amount: float, now_s: float) -> bool:
        """Take `amount` if there is as much; else nothing."""
        self._refill(now_s)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def _refill(self, now_s: float) -> None:
        earned = max(0.0, now_s - self._at) * self._rate
        self._tokens = min(self._burst, self._tokens + earned)
        self._at = now_s
