"""Revocation lists whose signers are known: of each signer and scope the newest, in room that CAs share."""

from collections.abc import Iterable

from cryptography import x509

from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_status import Path
from slixmpp_e2e.certificates.sharing import Shares, branch_of
from slixmpp_e2e.certificates.store import LIST_KEY, OWNER
from slixmpp_e2e.cms.algorithms import SHA256

_Key = tuple[x509.Certificate, x509.IssuingDistributionPoint | None]


class VerifiedLists:
    """No more than so many lists, and no more than so many octets. That the signers signed is not looked at here."""

    def __init__(self, lists: int, octets: int | None = None) -> None:
        self._lists: Shares[_Key, RevocationList] = Shares(lists, octets)
        self._by_issuer: dict[x509.Name, dict[_Key, RevocationList]] = {}

    def __len__(self) -> int:
        return len(self._lists)

    def of(self, issuer: x509.Name) -> Iterable[RevocationList]:
        """Return the lists of an issuer."""
        return tuple(self._by_issuer.get(issuer, {}).values())

    def put(self, found: RevocationList, signers: Path) -> tuple[x509.Name, ...] | None:
        """Keep a list if it is newer; return the issuers of those that had to go for it, or None if it is not.

        `signers` is who signed it, and whoever stands above in the validated path.
        """
        key = signers[0], found.scope
        known = self._lists.get(key)
        if known is not None and known.age >= found.age:
            return None
        gone = self._lists.put(key, found, branch_of(signers), found.octets)
        self._by_issuer.setdefault(found.issuer, {})[key] = found
        issuers = tuple(signer.subject for signer, _ in gone)
        for each, issuer in zip(gone, issuers, strict=True):
            del self._by_issuer[issuer][each]
            if not self._by_issuer[issuer]:
                del self._by_issuer[issuer]
        return issuers


def kept_as(signer: x509.Certificate, found: RevocationList, above: Path = ()) -> bytes:
    """Return what a store keeps a list by: its signer and scope, of which only the newest counts, and whose it is.

    `above` is what stands above the signer in its path.
    """
    covered = b"" if found.scope is None else found.scope.public_bytes()
    owners = branch_of((signer, *above))
    return SHA256.digest(owners[-1] + covered)[:LIST_KEY] + b"".join(each[:OWNER] for each in owners)
