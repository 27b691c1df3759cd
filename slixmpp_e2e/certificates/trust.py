"""Whether a certificate is somebody's: names, decisions, paths, first use.

The ladder, as `report.Trust` has it. A person's or a configuration's decision about the very certificate comes
first, then a path to a trust anchor, then that it was the first one seen. Where a certificate is decided for a
JID, another one is not believed without anybody noticing: where the configuration pinned it, never; where a
person verified it or it was the first one, only by a path, so that a renewed certificate of a PKI needs nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES, PathValidator, Purpose, check_usage
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.tables import Recent

_FACTS: Final = 1024


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a certificate is believed to be somebody's."""

    trust: Trust
    #: The path to the anchor; the certificate alone where no path decided.
    chain: tuple[x509.Certificate, ...]
    #: It is believed because nothing was known of the JID: to be kept if the stanza is taken.
    first_use: bool = False


class UntrustedError(CertificateError):
    """A certificate that is not believed to be this JID's.

    `why` is `name-mismatch`, `weak`, `distrusted` or `untrusted`.
    """

    code = "untrusted"

    def __init__(self, detail: str, why: str = "untrusted") -> None:
        super().__init__(detail)
        self.why = why


class ChangedCertificateError(UntrustedError):
    """Certificates are pinned for this JID, and this is none of them."""

    code = "certificate-changed"


@dataclass(frozen=True, slots=True)
class _Facts:
    jids: frozenset[str]
    #: Why the certificate may not be used so, or None.
    forbidden: Mapping[Purpose, str | None]


def _forbidden(certificate: x509.Certificate, purpose: Purpose) -> str | None:
    try:
        check_usage(certificate, purpose)
    except CertificateError as error:
        return str(error)
    return None


class Authority:
    """Decides about certificates.

    A certificate must name the JID in any case (RFC 3923 6.3), be within its validity, allow the use, and have
    a strong key. `paths` leads to the trust anchors for everybody, or by domain with `*` for the rest: the CA
    of one domain then says nothing about another. With `first_use`, a JID of which nothing is known is believed
    once: the caller then keeps that decision (`Decision.first_use`). **Not** checked: revocation.
    """

    def __init__(
        self,
        store: Store,
        *,
        paths: PathValidator | Mapping[str, PathValidator] | None = None,
        pins: Mapping[str, frozenset[bytes]] | None = None,
        first_use: bool = False,
    ) -> None:
        self._store = store
        self._paths = {"*": paths} if isinstance(paths, PathValidator) else dict(paths or {})
        self._pins = dict(pins or {})
        self._first_use = first_use
        self._facts: Recent[bytes, _Facts] = Recent(_FACTS)

    def judge(
        self,
        jid: str,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate] = (),
        *,
        at: datetime,
        purpose: Purpose,
    ) -> Decision:
        """Return why a certificate is believed to be the bare JID's at a time; raise `UntrustedError`.

        `hints` are certificates that came along; they may be parts of a path.
        """
        facts = self._read(certificate)
        if jid not in facts.jids:
            raise UntrustedError(
                f"the certificate names {', '.join(sorted(facts.jids)) or 'nobody'}, not {jid}",
                "name-mismatch",
            )
        if certificate.weakness is not None:
            raise UntrustedError(f"the certificate of {jid} has {certificate.weakness}", "weak")
        decided = self.decisions(jid)
        if decided.get(certificate.fingerprint) is Trust.DISTRUSTED:
            raise UntrustedError(f"the certificate of {jid} is distrusted", "distrusted")
        if facts.forbidden[purpose] is not None:
            raise UntrustedError(f"{jid}: {facts.forbidden[purpose]}")
        believed = {print_: trust for print_, trust in decided.items() if trust is not Trust.DISTRUSTED}
        trust = believed.get(certificate.fingerprint)
        if trust is not None and trust is not Trust.TOFU:
            return _decided(jid, certificate, trust, at)
        if Trust.PINNED in believed.values():
            raise ChangedCertificateError(f"this is not the certificate that is pinned for {jid}")
        return self._judge_by_path(jid, certificate, hints, believed=believed, at=at, purpose=purpose)

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """Return what is decided about certificates of a bare JID, by fingerprint; a person's word counts most."""
        return {**dict.fromkeys(self._pins.get(jid, ()), Trust.PINNED), **self._store.decisions(jid)}

    def _judge_by_path(
        self,
        jid: str,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate],
        *,
        believed: Mapping[bytes, Trust],
        at: datetime,
        purpose: Purpose,
    ) -> Decision:
        try:
            return Decision(Trust.PKIX, self._validate(jid, certificate, hints, at))
        except CertificateError as error:
            if certificate.fingerprint in believed:
                return _decided(jid, certificate, Trust.TOFU, at)
            if believed:
                raise ChangedCertificateError(
                    f"this is not the certificate that is known of {jid}, and {error}"
                ) from None
            if self._first_use and purpose == "sign":  # who signs has the key
                return _decided(jid, certificate, Trust.TOFU, at, first_use=True)
            raise UntrustedError(f"{jid}: {error}") from None

    def _validate(
        self, jid: str, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate], at: datetime
    ) -> tuple[x509.Certificate, ...]:
        paths = self._paths.get(jid.rpartition("@")[2]) or self._paths.get("*")
        if paths is None:
            raise CertificateError("there are no trust anchors for it, and it is not pinned")
        return paths.validate(certificate, hints, at=at)

    def _read(self, certificate: ParsedCertificate) -> "_Facts":
        """Return what a certificate says of itself; remembered, because it is asked for every stanza."""
        known = self._facts.get(certificate.fingerprint)
        if known is None:
            known = _Facts(
                certificate_jids(certificate.certificate),
                {purpose: _forbidden(certificate.certificate, purpose) for purpose in PURPOSES},
            )
            self._facts.put(certificate.fingerprint, known)
        return known


def _decided(
    jid: str, certificate: ParsedCertificate, trust: Trust, at: datetime, *, first_use: bool = False
) -> Decision:
    own = certificate.certificate
    if not own.not_valid_before_utc <= at <= own.not_valid_after_utc:
        raise UntrustedError(f"the certificate of {jid} is outside its validity")
    return Decision(trust, (own,), first_use)
