"""Until when keys of a kind count: "RSA below 3072 bits until the end of 2030" (as NIST SP 800-57 or BSI TR-02102).

What is too weak for anybody never counts (`ParsedCertificate.weakness`, `path`); this is what an organisation demands
besides.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from slixmpp_e2e.certificates.keys import key_algorithm
from slixmpp_e2e.errors import CertificateError, ConfigurationError

_RSA: Final = re.compile(r"rsa-([1-9][0-9]{3,4})")
_OTHERS: Final = frozenset({"p-256", "p-384", "ed25519", "x25519"})


class AlgorithmDates:
    """The last day, in UTC, on which each kind of key counts; a kind that is not named has none.

    `rsa-N` are RSA keys of up to N bits; the others are `p-256`, `p-384`, `ed25519` and `x25519`. Days are dates, or
    text as `2030-12-31`. Raises `ConfigurationError`.
    """

    def __init__(self, last_days: Mapping[str, date | str] | None = None) -> None:
        #: The first moment at which they don't count any more.
        self._rsa: dict[int, datetime] = {}
        self._others: dict[str, datetime] = {}
        for kind, day in (last_days or {}).items():
            end = _end(kind, day)
            found = _RSA.fullmatch(kind) if isinstance(kind, str) else None
            if found is not None:
                self._rsa[int(found[1])] = end
            elif kind in _OTHERS:
                self._others[kind] = end
            else:
                raise ConfigurationError(
                    f"algorithm_dates: {kind!r} is not known; there are rsa-N, {', '.join(sorted(_OTHERS))}"
                )

    def check(self, keys: Iterable[PublicKeyTypes], at: datetime) -> None:
        """Raise `CertificateError` if the public key of somebody does not count any more at a time."""
        if not self._rsa and not self._others:
            return
        for key in keys:
            end = self._end_of(key)
            if end is not None and at >= end:
                last = end - timedelta(days=1)
                raise CertificateError(
                    f"a key of a kind that counts until {last:%Y-%m-%d} ({key_algorithm(key)})"
                )

    def _end_of(self, key: PublicKeyTypes) -> datetime | None:
        if isinstance(key, rsa.RSAPublicKey):
            return min((end for bits, end in self._rsa.items() if key.key_size <= bits), default=None)
        return self._others.get(key_algorithm(key))


def _end(kind: object, day: Any) -> datetime:
    try:
        last = date.fromisoformat(day) if isinstance(day, str) else day
        return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    except (AttributeError, ValueError, OverflowError):
        raise ConfigurationError(f"algorithm_dates: {kind!r} has no date, but {day!r}") from None
