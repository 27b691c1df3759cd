"""SoftHSM: tokens in a temporary directory, with keys and certificates of the throw-away PKI.

The library reads its configuration when it is loaded, once in a process, and sees no token that somebody else made
after that. So all tokens of a test run are made together, before anybody has loaded it.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.pki import PKI, Entity, make_certificate

#: Where distributions put it.
_PLACES: Final = ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/opt/homebrew/lib/softhsm")
_PATHS: Final = [Path(place) / "libsofthsm2.so" for place in _PLACES]
MODULE: Final = next((path for path in _PATHS if path.exists()), _PATHS[0])
PIN: Final = "273-154 &?"

#: The keys of the token `work`, by label, with their id.
IDS: Final = {
    "rsa": "01",
    "p-256": "02",
    "p-384": "03",
    "ed25519": "04",
    "without": "05",
    "twin": "06",
    "mute": "08",
    "carded": "09",
}
#: Those whose certificate is not in the token.
_WITHOUT_CERTIFICATE: Final = frozenset({"without", "twin", "mute"})
#: Those whose public key is not there either.
_WITHOUT_PUBLIC_KEY: Final = frozenset({"mute", "carded"})


@dataclass(frozen=True)
class SoftHSM:
    """The tokens, and whose keys are in them."""

    directory: Path
    #: By label, for romeo@example.net. `without` has no certificate in the token, `mute` neither that nor a public
    #: key, `carded` a certificate alone; `twin` is there twice.
    work: Mapping[str, Entity]
    #: The token `server`, by name of the account: romeo (RSA) and juliet (P-256), of the test servers.
    server: Mapping[str, Entity]

    def uri(self, token: str | None = "work", name: str | None = None, **query: str) -> str:
        """Return the URI of a key."""
        path = [("token", token), ("object", name)]
        asked = {"module-path": str(MODULE), **{key.replace("_", "-"): value for key, value in query.items()}}
        return (
            "pkcs11:"
            + ";".join(f"{key}={quote(value, safe='')}" for key, value in path if value)
            + "?"
            + "&".join(f"{key}={quote(value, safe='/')}" for key, value in asked.items())
        )


def make_tokens(directory: Path, pki: PKI) -> SoftHSM:
    """Make the tokens; SOFTHSM2_CONF must name `directory`/softhsm2.conf, and the library must not be loaded."""
    (directory / "tokens").mkdir()
    (directory / "softhsm2.conf").write_text(
        f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
        encoding="utf-8",
    )
    for label in ("work", "server", "refusing", "same", "same"):
        _run("--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", PIN)
    keys: dict[str, Any] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p-256": ec.generate_private_key(ec.SECP256R1()),
        "p-384": ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "without": ec.generate_private_key(ec.SECP256R1()),
        "twin": ec.generate_private_key(ec.SECP256R1()),
        "mute": ec.generate_private_key(ec.SECP256R1()),
        "carded": ec.generate_private_key(ec.SECP256R1()),
    }
    work = {name: _entity(name, key, "romeo@example.net", pki) for name, key in keys.items()}
    server = {
        "romeo": _entity("romeo", rsa.generate_private_key(65537, 2048), "romeo@localhost", pki),
        "juliet": _entity("juliet", ec.generate_private_key(ec.SECP256R1()), "juliet@localhost", pki),
    }
    for name, entity in work.items():
        _import(directory, "work", name, IDS[name], entity)
    _import(directory, "work", "twin", "07", work["twin"])
    for number, (name, entity) in enumerate(server.items(), 1):
        _import(directory, "server", name, f"{number:02}", entity)
    _finish(
        "work", {IDS[name]: entity for name, entity in work.items() if name not in _WITHOUT_CERTIFICATE}, pki
    )
    _finish("server", {f"{number:02}": entity for number, entity in enumerate(server.values(), 1)}, pki)
    return SoftHSM(directory, work, server)


def _entity(name: str, key: Any, jid: str, pki: PKI) -> Entity:
    return Entity(name, key, make_certificate(key, name, issuer=pki.intermediate, jid=jid))


def _import(directory: Path, token: str, label: str, key_id: str, entity: Entity) -> None:
    path = directory / "key.pem"
    path.write_bytes(entity.key_pem)
    less = ["--no-public-key"] if label in _WITHOUT_PUBLIC_KEY else []
    _run("--import", str(path), "--token", token, "--label", label, "--id", key_id, "--pin", PIN, *less)
    path.unlink()


def _finish(label: str, entities: Mapping[str, Entity], pki: PKI) -> None:
    """Put certificates beside the keys, and let keys agree: softhsm2-util does neither."""
    import pkcs11
    from pkcs11 import Attribute, CertificateType, ObjectClass

    (token,) = [each for each in pkcs11.lib(str(MODULE)).get_tokens() if each.label == label]
    with token.open(user_pin=PIN, rw=True) as session:
        for key in list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})):
            if key[Attribute.KEY_TYPE] == pkcs11.KeyType.EC:
                key[Attribute.DERIVE] = True
        above = Entity("CA", None, pki.intermediate.certificate)
        found = {**entities, "c0": above, "c1": pki.root}
        values = [(key_id, entity.name, entity.der) for key_id, entity in found.items()]
        for key_id, name, der in [*values, ("c2", "garbage", b"no certificate")]:
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.TOKEN: True,
                    Attribute.LABEL: name,
                    Attribute.ID: bytes.fromhex(key_id),
                    Attribute.SUBJECT: pki.root.certificate.subject.public_bytes(),
                    Attribute.VALUE: der,
                }
            )


def _run(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
