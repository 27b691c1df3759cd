"""Keys that count what is done with them: they are handed in, and do what other keys do."""

from collections import Counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate

#: What a method is counted as.
_COUNTED = {"decrypt": "private", "exchange": "private", "sign": "private", "verify": "verified"}
_ATTRIBUTES = frozenset({"key_size", "curve"})
_KINDS = (
    *(rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, x25519.X25519PublicKey),
    *(rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, x25519.X25519PrivateKey),
)


def _delegating(name: str) -> Any:
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        if name in _COUNTED:
            self.counts[_COUNTED[name]] += 1
        return getattr(self.key, name)(*arguments, **options)

    return property(lambda self: getattr(self.key, name)) if name in _ATTRIBUTES else call


def _counting(kind: type) -> type:
    methods = {name: _delegating(name) for name in kind.__abstractmethods__}
    return type(f"Counting{kind.__name__}", (kind,), {**methods, "is_slow": False})


_COUNTING = {kind: _counting(kind) for kind in _KINDS}


def counting(key: Any, counts: Counter[str]) -> Any:
    """Return a key that counts: operations of the private half as `private`, of the public one as `verified`."""
    for kind, made in _COUNTING.items():
        if isinstance(key, kind):
            found = made()
            found.key, found.counts = key, counts
            return found
    return key


def count_with(certificate: ParsedCertificate, counts: Counter[str]) -> ParsedCertificate:
    """Let the public key of a certificate count; return the certificate."""
    object.__setattr__(certificate, "public_key", counting(certificate.public_key, counts))
    return certificate


class CountingPool(CertificatePool):
    """A pool whose certificates have public keys that count."""

    def __init__(self, like: CertificatePool, counts: Counter[str]) -> None:
        super().__init__([count_with(each, counts) for each in like])
        self._counts = counts

    def parse(self, der: bytes) -> ParsedCertificate | None:
        """See `CertificatePool`."""
        is_new = der not in self._parsed
        found = super().parse(der)
        return count_with(found, self._counts) if is_new and found is not None else found
