"""X25519 as others write it: objects for Dana of RFC 9216, because none of the programs in the matrix can do it.

The objects are those of draft-ireland-examples-cms (D. Ireland, CryptoSys). Her private key is the SHA-256 of a text
(RFC 9216 2.7). The certificate is made here: an object names its issuer and serial number, and nothing else of it
matters to who decrypts.
"""

import hashlib
from base64 import b64decode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.enveloped_data import Decrypted, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import UndecryptableError
from tests.certificates.building import new_key
from tests.pki import VALID_FROM, VALID_UNTIL

DANA = hashlib.sha256(b"draft-lamps-sample-certs-keygen.dana.encrypt.25519.seed").digest()
SERIAL = 0x0E4B0A36A9EFBA9C9A3B68248E521DC0DEF3A7
ISSUER = x509.Name(
    [
        x509.NameAttribute(kind, text, _ASN1Type.PrintableString)
        for kind, text in (
            (NameOID.ORGANIZATION_NAME, "IETF"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "LAMPS WG"),
            (NameOID.COMMON_NAME, "Sample LAMPS Ed25519 Certification Authority"),
        )
    ]
)
#: authEnvelopedForDanaX25519HKDF: AuthEnvelopedData, HKDF with SHA-256, AES-256 key wrap, AES-128-GCM.
AUTHENTICATED = b64decode("""
    MIIBWgYLKoZIhvcNAQkQARegggFJMIIBRQIBADGB4qGB3wIBA6AsoSowBQYDK2VuAyEAvM05OShBMieGrASO81w24NVAMNr4rReq9FQy
    ICvrBEgwGgYLKoZIhvcNAQkQAxMwCwYJYIZIAWUDBAEtMIGPMIGMMHAwWTENMAsGA1UEChMESUVURjERMA8GA1UECxMITEFNUFMgV0cx
    NTAzBgNVBAMTLFNhbXBsZSBMQU1QUyBFZDI1NTE5IENlcnRpZmljYXRpb24gQXV0aG9yaXR5AhMOSwo2qe+6nJo7aCSOUh3A3vOnBBgn
    vFzgo4bOE4OpRbG9aQBxg4seRyYq6LUwSQYJKoZIhvcNAQcBMB4GCWCGSAFlAwQBBjARBAyRA6CdlJISJxOxLDUCARCAHDB4Pldzlm66
    JiwrsSABHhizw4WzM/dtl0YYnaEEEBSTTYLnkSEw7nm5icVM9ms=""")
#: encryptedForBobAndDana: EnvelopedData, Bob with RSAES-OAEP, Dana with dhSinglePass-stdDH-sha256kdf.
ENVELOPED = b64decode("""
    MIIC/AYJKoZIhvcNAQcDoIIC7TCCAukCAQIxggKUMIIBswIBADBsMFUxDTALBgNVBAoTBElFVEYxETAPBgNVBAsTCExBTVBTIFdHMTEw
    LwYDVQQDEyhTYW1wbGUgTEFNUFMgUlNBIENlcnRpZmljYXRpb24gQXV0aG9yaXR5AhMwfEdAD4YmOhxi0uuDL5bA14aUMDwGCSqGSIb3
    DQEBBzAvoA8wDQYJYIZIAWUDBAIBBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIBBQAEggEALDDJdkhYTd2gvCcPXRxP1HZl4nXd
    m5DfiNI/Mxtr5ZPNzT0JgEpMrT1h9KzX1AgRqZhgk/3NFMmfgDWY/Aj45vGwZn1nLBZY+B+CkoHWlI/c6HYEzbf3+MT507/GDaKxwrMQ
    rMEvA6Mfi/O91bdWOOxKWj2mnkpe6oGPVQqfugI2sTjQyD91R3at1+GudB3pWoMDc2Bdbje+FIsyEfgbWSGlomPu357TyfVbhUMq6IuF
    5/IjttXUBk8Xs4FmYk67gDCpnh09qfKD0zPYQub/oT4II7Pu7V1+idk688Px/mDbqzlqAdwhX8AvqbcqPBgwovAH6C8xX9yQhWC82Na2
    /qGB2gIBA6AsoSowBQYDK2VuAyEA/EGr+owykPVD3bNWB2IcUTkBmP7WgK2gLl0e9U3U4jEwFQYGK4EEAQsBMAsGCWCGSAFlAwQBBTCB
    jzCBjDBwMFkxDTALBgNVBAoTBElFVEYxETAPBgNVBAsTCExBTVBTIFdHMTUwMwYDVQQDEyxTYW1wbGUgTEFNUFMgRWQyNTUxOSBDZXJ0
    aWZpY2F0aW9uIEF1dGhvcml0eQITDksKNqnvupyaO2gkjlIdwN7zpwQYzl4eD55lNGGBxp4MTiZvVfKVizQ8uOHRMEwGCSqGSIb3DQEH
    ATAdBglghkgBZQMEAQIEECMOtGHAZPlhLNH26hlNk8eAIMwMTIvUoLW+PCDFKf23ON4OzxbZjYcUMzPR8WCTFLvy""")


def keys(private_key: bytes) -> DecryptionKeys:
    """Return Dana's certificate with a private key."""
    key = X25519PrivateKey.from_private_bytes(private_key)
    builder = x509.CertificateBuilder(ISSUER, ISSUER, key.public_key(), SERIAL, VALID_FROM, VALID_UNTIL)
    return DecryptionKeys([(key, ParsedCertificate.from_x509(builder.sign(new_key(), hashes.SHA256())))])


def opened(data: bytes, private_key: bytes) -> Decrypted:
    """Decrypt an object as Dana."""
    return parse_enveloped_data(data).decrypt(keys(private_key))


@pytest.mark.parametrize(
    ("data", "key_management", "cipher"),
    [(AUTHENTICATED, "x25519-hkdf-sha256", "aes128-gcm"), (ENVELOPED, "x25519-sha256kdf", "aes128-cbc")],
)
def test_what_others_encrypted_to_an_x25519_key_is_read(data, key_management, cipher):
    found = opened(data, DANA)
    assert found.without_padding() == b"This is some sample content."
    assert (found.key_management, found.cipher.name) == (key_management, cipher)


def test_with_another_key_it_is_not():
    with pytest.raises(UndecryptableError, match="tag"):
        opened(AUTHENTICATED, bytes(range(32)))
    assert b"sample" not in opened(ENVELOPED, bytes(range(32))).plaintext
