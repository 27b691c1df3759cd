"""Certification paths (RFC 5280 6) with the rules of RFC 8550 for the end entity.

Finding the path and its signatures, validity and constraints are the library's; what an end entity may do
is checked here, and how strong the CAs' keys and signatures are. Name constraints on directory names are beyond the
library: it never sees a CA that has one, and where it finds no path without them, `links` looks for one through them.
**Not** checked: revocation (see `revocation`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.certificates.links import AUTHORITY_USAGES, MAX_DEPTH, LinkedPaths
from slixmpp_e2e.certificates.name_constraints import (
    check_subject_addresses,
    constrains_directory_names,
)
from slixmpp_e2e.certificates.policies import check_policies
from slixmpp_e2e.cms.certificates import UNREADABLE, ParsedCertificate, is_affordable
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.tables import Recent

#: Certificates of CAs that came along: two chains of the greatest depth. With more of them that all fit together a
#: stranger could have hundreds of signatures verified.
_MAX_HINTS: Final = 8
_CACHE: Final = 1024
#: And how many certificates that came along are looked at, at all.
_MAX_ALONG: Final = 32
#: RFC 8551 6, for the keys of CAs.
_RSA_SIZES: Final = range(2048, 8192 + 1)
_BROKEN_DIGESTS: Final = (hashes.SHA1, hashes.MD5)
#: RFC 8550 4.4.4.
_USAGES: Final = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})

Purpose = Literal["sign", "encrypt"]
PURPOSES: Final[tuple[Purpose, ...]] = ("sign", "encrypt")


def authority_policy() -> verification.ExtensionPolicy:
    """Return what the library asks of the extensions of CAs: its own rules, but for what a CA is for.

    It takes us for a TLS server that looks at a client, and would refuse a CA for e-mail alone.
    """

    def check(_policy: object, _certificate: object, purposes: x509.ExtendedKeyUsage | None) -> None:
        if purposes is not None and not AUTHORITY_USAGES & set(purposes):
            raise ValueError("a CA's extended key usage does not allow messages")

    return verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, verification.Criticality.NON_CRITICAL, check
    )


def check_usage(certificate: x509.Certificate, purpose: Purpose) -> None:
    """Raise `CertificateError` if the certificate's extensions forbid to use its key so (RFC 8550 4.4)."""
    try:
        extensions, public_key = certificate.extensions, certificate.public_key()
    except UNREADABLE as error:
        raise CertificateError(f"a certificate with an unreadable key or extensions: {error}") from None
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage):
            if not _allows(value, purpose, is_rsa=isinstance(public_key, rsa.RSAPublicKey)):
                raise CertificateError(f"the certificate's key usage forbids to {purpose}")
        elif isinstance(value, x509.ExtendedKeyUsage):
            if not _USAGES & set(value):
                raise CertificateError("the certificate's extended key usage does not allow messages")
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            raise CertificateError("a CA's certificate is not an end entity's")


def _allows(usage: x509.KeyUsage, purpose: Purpose, *, is_rsa: bool) -> bool:
    if purpose == "sign":
        return usage.digital_signature or usage.content_commitment
    if is_rsa:
        return usage.key_encipherment
    return usage.key_agreement and not usage.decipher_only  # RFC 5652 6.2.2, RFC 5280 4.2.1.3


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _check_strength(chain: Sequence[x509.Certificate]) -> None:
    """Raise `CertificateError` for a CA with a key that is too small, or a signature that anybody can make.

    Nobody relies on the signature of an anchor over itself. The end entity's key is for the caller.
    """
    for certificate in chain[1:]:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size not in _RSA_SIZES:
            raise CertificateError(f"a CA with an RSA key of {key.key_size} bits")
    for place, certificate in enumerate(chain, start=1):
        is_own = place == len(chain) and certificate.subject == certificate.issuer
        if isinstance(certificate.signature_hash_algorithm, _BROKEN_DIGESTS) and not is_own:
            raise CertificateError("a certificate that was signed with SHA-1 or MD5")


@dataclass(frozen=True, slots=True)
class _Path:
    chain: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime

    def counts(self, at: datetime) -> bool:
        """Tell whether everybody in it is valid."""
        return self.not_before <= at <= self.not_after


#: A certificate, what came along with it, and what the path must not go through.
_Key = tuple[bytes, frozenset[bytes], frozenset[bytes]]


class PathValidator:
    """Paths from end entities to trust anchors; every path found is remembered for as long as it is valid.

    The anchors and the configured intermediates never change; with others there is another validator.
    """

    def __init__(
        self, anchors: Iterable[x509.Certificate], intermediates: Iterable[x509.Certificate] = ()
    ) -> None:
        trusted, between = list(anchors), list(intermediates)
        if not trusted:
            raise CertificateError("there are no trust anchors")
        plain = [each for each in trusted if not constrains_directory_names(each)]
        self._store = verification.Store(plain) if plain else None
        self._intermediates = [each for each in between if not constrains_directory_names(each)]
        self._links = LinkedPaths(trusted, between)
        #: Whether anybody that we know constrains directory names.
        self._is_constrained = len(plain) + len(self._intermediates) < len(trusted) + len(between)
        self._cache: Recent[_Key, _Path] = Recent(_CACHE)

    def size(self) -> int:
        """Return how many paths are remembered."""
        return len(self._cache)

    def validate(
        self,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate] = (),
        *,
        at: datetime,
        avoiding: Collection[bytes] = (),
    ) -> tuple[x509.Certificate, ...]:
        """Return the path from a certificate to an anchor, both included; raise `CertificateError`.

        `hints` are certificates that came along; they are used only as parts of a path, and of CAs only eight of
        them, with keys of usual sizes: the library checks about a hundred signatures before it gives up. The path
        goes through none of those whose SHA-256 is in `avoiding`. Key usage is not looked at: `check_usage`.
        """
        hints = hints[:_MAX_ALONG]
        avoided = frozenset(avoiding)
        key = certificate.fingerprint, frozenset(hint.fingerprint for hint in hints), avoided
        known = self._cache.get(key)
        if known is not None and known.counts(at):
            return known.chain
        path = self._find(certificate, hints, at, avoided)
        self._cache.put(key, path)
        alone: _Key = certificate.fingerprint, frozenset(), avoided
        before = self._cache.get(alone)
        if before is None or not before.counts(at):  # what came along once need not come again
            self._cache.put(alone, path)
        return path.chain

    def _find(
        self,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate],
        at: datetime,
        avoided: frozenset[bytes],
    ) -> _Path:
        above = [
            hint.certificate
            for hint in hints
            if is_affordable(hint.public_key) and _is_authority(hint.certificate)
        ][:_MAX_HINTS]
        plain = [each for each in above if not constrains_directory_names(each)]
        try:
            chain = self._find_unconstrained(certificate.certificate, plain, at, avoided)
        except (verification.VerificationError, CertificateError, *UNREADABLE) as error:
            reason = f"there is no path to a trust anchor: {error}"
            if not self._is_constrained and len(plain) == len(above):
                raise CertificateError(reason) from None
            try:
                chain = self._links.find(
                    certificate.certificate, above, at=at, avoided=avoided, accept=_accept_constrained
                )
            except CertificateError as other:
                raise CertificateError(
                    f"{reason}; nor one through CAs that constrain directory names: {other}"
                ) from None
        return _Path(
            chain,
            max(each.not_valid_before_utc for each in chain),
            min(each.not_valid_after_utc for each in chain),
        )

    def _find_unconstrained(
        self,
        certificate: x509.Certificate,
        above: Sequence[x509.Certificate],
        at: datetime,
        avoided: frozenset[bytes],
    ) -> tuple[x509.Certificate, ...]:
        """Find a path without constraints on directory names; raise whatever says that there is none."""
        if self._store is None:
            raise CertificateError("all anchors constrain directory names")
        verifier = (
            verification.PolicyBuilder()
            .store(self._store)
            .time(at)
            .max_chain_depth(MAX_DEPTH)
            .extension_policies(
                ca_policy=authority_policy(),
                ee_policy=verification.ExtensionPolicy.permit_all(),
            )
            .build_client_verifier()
        )
        between = [*self._intermediates, *above]
        if avoided:
            between = [each for each in between if each.fingerprint(hashes.SHA256()) not in avoided]
        chain = tuple(verifier.verify(certificate, between).chain)
        check_subject_addresses(chain)
        _accept(chain)
        return chain


def _accept(chain: tuple[x509.Certificate, ...]) -> None:
    """Raise `CertificateError` for a path that holds and is too weak, or lacks a policy that a CA demands."""
    _check_strength(chain)
    check_policies(chain)


def _accept_constrained(chain: tuple[x509.Certificate, ...]) -> None:
    """Likewise, and for a path that is the library's business: it has refused it."""
    if not any(map(constrains_directory_names, chain)):
        raise CertificateError("a path that the library refuses")
    _accept(chain)
