"""A throw-away CA, and a key and a certificate from it for each account."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from slixmpp_e2e.certificates.issue import certificate_request, create_root, issue_certificate
from slixmpp_e2e.certificates.keys import AuthorityKeyAlgorithm, KeyAlgorithm, generate_key
from slixmpp_e2e.cli.encoding import encode_certificates, encode_key
from slixmpp_e2e.cli.files import write_file

AUTHORITY: Final = "Verona throw-away CA"

#: The talkers must be able to decrypt, so RSA; 2048 bits, since the time to find the primes is what is waited for.
TALKER_KEYS: Final[KeyAlgorithm] = "rsa-2048"
AUTHORITY_KEYS: Final[AuthorityKeyAlgorithm] = "p-256"

_DAYS: Final = 1


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of everybody in one directory: `ca.crt`, and `NAME.crt` and `NAME.key` for each account."""

    directory: Path

    def options(self, name: str, *, knows: str) -> dict[str, Any]:
        """Return the plugin's options for an account that knows the certificate of one other."""
        return {
            "certificate": self.directory / f"{name}.crt",
            "private_key": self.directory / f"{name}.key",
            "trust_anchors": self.directory / "ca.crt",
            "peer_certificates": self.directory / f"{knows}.crt",
            "store": "memory",
            "policy": {"*": "required"},
        }


def make_certificates(directory: Path, names: Iterable[str], *, domain: str) -> Certificates:
    """Write the files for the accounts of these names; raises `OSError`."""
    now = datetime.now(UTC)
    authority = create_root(generate_key(AUTHORITY_KEYS), AUTHORITY, now=now, days=_DAYS)

    def write(name: str, data: bytes, *, private: bool = False) -> None:
        write_file(directory / name, data, private=private, force=False)

    write("ca.crt", encode_certificates([authority.certificate]))
    for name in names:  # one by one: cryptography holds Python's lock while it looks for primes
        key = generate_key(TALKER_KEYS)
        request = certificate_request(key, [f"{name}@{domain}"])
        certificate = issue_certificate(request, authority=authority, now=now, days=_DAYS)
        write(f"{name}.key", encode_key(key, None), private=True)
        write(f"{name}.crt", encode_certificates([certificate]))
    return Certificates(directory)
