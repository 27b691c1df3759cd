"""What an `LDAPResolver` finds in a real directory, and how it gets there."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from slixmpp import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.plugin.certificate_search import CertificateResolver
from slixmpp_e2e.stores.ldap import DirectoryError, LDAPResolver
from tests.pki import PKI, make_certificate

from .directory import (
    PEOPLE,
    READER,
    READER_PASSWORD,
    STAFF,
    SUFFIX,
    ThrowAwayDirectory,
    person,
    write_server_certificate,
)

pytestmark = pytest.mark.ldap

FILTER = "??sub?(mail={bare})"
#: JIDs that could change a filter, or be taken for one another.
STRANGE = (
    "*@example.com",
    "jul*@example.com",
    "a)(mail=*@example.com",
    "a)(|(mail=*)@example.com",
    r"jul\69et@example.com",
    r"jul\00iet@example.com",
    "\\@example.com",
    r"a\20b@example.com",
    "jülièt@example.com",
    "ジュリエット@example.com",
    "!|=~,+;#@example.com",
)
ALIAS = f"""\
dn: cn=alias,{SUFFIX}
objectClass: alias
objectClass: extensibleObject
cn: alias
aliasedObjectName: cn=romeo,{PEOPLE}
"""
# Nobody listens there: who follows it fails.
REFERRAL = f"""\
dn: ou=elsewhere,{PEOPLE}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/{PEOPLE}
"""


def new_certificate(key: ec.EllipticCurvePrivateKey, jid: str) -> bytes:
    return make_certificate(key, "Somebody", jid=jid).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def strange(key) -> dict[str, bytes]:
    return {jid: new_certificate(key, "somebody@example.com") for jid in STRANGE}


@pytest.fixture(scope="module")
def directory(pki: PKI, key, strange, tmp_path_factory: pytest.TempPathFactory):
    entries = [
        person("juliet", "juliet@example.com", pki["juliet"].der, pki["p-256"].der),
        person("romeo", "romeo@example.net", pki["romeo"].der),
        person("nobody", "nobody@example.com"),
        person("clerk", "clerk@example.com", pki["p-384"].der, base=STAFF),
        person("heavy", "heavy@example.com", *(new_certificate(key, "x@example.com") for _ in range(150))),
        *(person(f"eight {n}", "eight@example.com", new_certificate(key, "x@example.com")) for n in range(8)),
        *(person(f"nine {n}", "nine@example.com", new_certificate(key, "x@example.com")) for n in range(9)),
        *(person(f"strange {n}", *each) for n, each in enumerate(strange.items())),
        ALIAS,
        REFERRAL,
    ]
    with ThrowAwayDirectory(tmp_path_factory.mktemp("directory"), entries) as running:
        yield running


async def find(url: str, jid: str, **options) -> set[bytes]:
    resolver = LDAPResolver(url, **options)
    assert isinstance(resolver, CertificateResolver)
    found = await resolver.find(JID(jid))
    assert len(set(found)) == len(found)
    return set(found)


class TestFinding:
    async def test_all_certificates_of_an_entry_come(self, directory, pki):
        found = await find(f"{directory.plain}{PEOPLE}{FILTER}", "juliet@example.com/balcony")
        assert found == {pki["juliet"].der, pki["p-256"].der}

    @pytest.mark.parametrize(
        "attributes",
        ["userCertificate;binary", "userCertificate", "usercertificate;BINARY,mail", "sn,userCertificate"],
    )
    async def test_attributes_can_be_named(self, directory, pki, attributes):
        found = await find(f"{directory.plain}{PEOPLE}?{attributes}?sub?(mail={{bare}})", "romeo@example.net")
        others = (
            {b"romeo@example.net"} if "mail" in attributes else {b"romeo"} if "sn" in attributes else set()
        )
        assert found == {pki["romeo"].der} | others

    @pytest.mark.parametrize("jid", ["mercutio@example.com", "nobody@example.com", "example.com"])
    async def test_who_has_none_is_no_error(self, directory, jid):
        assert await find(f"{directory.plain}{PEOPLE}{FILTER}", jid) == set()

    async def test_parts_of_the_jid_have_places_of_their_own(self, directory, pki):
        url = f"{directory.plain}{PEOPLE}??one?(%26(cn={{local}})(mail=*@{{domain}}))"
        assert await find(url, "romeo@example.net") == {pki["romeo"].der}
        assert await find(url, "romeo@example.com") == set()
        assert await find(url, "example.net") == set()

    async def test_the_scope_counts(self, directory):
        assert await find(f"{directory.plain}{SUFFIX}??one?(mail={{bare}})", "romeo@example.net") == set()
        assert await find(f"{directory.plain}{PEOPLE}???(mail={{bare}})", "romeo@example.net") == set()

    @pytest.mark.parametrize("jid", STRANGE)
    async def test_a_jid_finds_only_itself(self, directory, strange, jid):
        url = f"{directory.plain}{PEOPLE}??sub?(displayName={{bare}})"
        assert await find(url, jid) == {strange[jid]}

    async def test_eight_entries_are_not_too_many(self, directory):
        assert len(await find(f"{directory.plain}{PEOPLE}{FILTER}", "eight@example.com")) == 8

    async def test_nine_are(self, directory):
        with pytest.raises(DirectoryError, match="more than 8 entries"):
            await find(f"{directory.plain}{PEOPLE}{FILTER}", "nine@example.com")

    async def test_so_are_more_than_64_kib(self, directory):
        with pytest.raises(DirectoryError, match="more than 65536 octets"):
            await find(f"{directory.plain}{PEOPLE}{FILTER}", "heavy@example.com")

    async def test_an_alias_is_not_followed(self, directory):
        url = f"{directory.plain}cn=alias,{SUFFIX}??base?(mail={{bare}})"
        assert await find(url, "romeo@example.net") == set()

    async def test_a_referral_is_not_followed(self, directory):
        with pytest.raises(DirectoryError, match="referral"):
            await find(f"{directory.plain}ou=elsewhere,{PEOPLE}{FILTER}", "romeo@example.net")

    async def test_a_base_that_is_not_there_is_an_error(self, directory):
        with pytest.raises(DirectoryError, match="noSuchObject"):
            await find(f"{directory.plain}ou=nowhere,{SUFFIX}{FILTER}", "romeo@example.net")


class TestTheWayThere:
    @pytest.mark.parametrize("way", ["plain", "tls"])
    async def test_tls_is_made_with_the_ca_that_is_given(self, directory, pki, way):
        url = f"{getattr(directory, way)}{PEOPLE}{FILTER}"
        assert await find(url, "romeo@example.net", ca_file=directory.ca) == {pki["romeo"].der}

    async def test_a_socket_in_the_file_system(self, directory, pki):
        assert await find(f"{directory.local}{PEOPLE}{FILTER}", "romeo@example.net") == {pki["romeo"].der}

    @pytest.mark.parametrize("way", ["plain", "tls"])
    async def test_a_server_of_another_ca_is_refused(self, directory, way, tmp_path):
        write_server_certificate(tmp_path)
        url = f"{getattr(directory, way)}{PEOPLE}{FILTER}"
        with pytest.raises(DirectoryError, match="CERTIFICATE_VERIFY_FAILED"):
            await find(url, "romeo@example.net", ca_file=tmp_path / "ca.pem")

    async def test_without_a_ca_file_those_of_the_system_count(self, directory):
        with pytest.raises(DirectoryError, match="CERTIFICATE_VERIFY_FAILED"):
            await find(f"{directory.tls}{PEOPLE}{FILTER}", "romeo@example.net")

    @pytest.mark.parametrize("way", ["plain", "tls"])
    async def test_a_server_of_another_name_is_refused(self, directory, way):
        url = f"{getattr(directory, way)}{PEOPLE}{FILTER}".replace("localhost", "127.0.0.1")
        with pytest.raises(DirectoryError, match=r"CERTIFICATE_VERIFY_FAILED.*127\.0\.0\.1"):
            await find(url, "romeo@example.net", ca_file=directory.ca)


class TestBinding:
    async def test_who_has_a_password_sees_more(self, directory, pki):
        url = f"{directory.plain}{STAFF}{FILTER}"
        known = {"bind_dn": READER, "password": READER_PASSWORD, "ca_file": directory.ca}
        assert await find(url, "clerk@example.com", **known) == {pki["p-384"].der}
        with pytest.raises(DirectoryError, match="noSuchObject"):
            await find(url, "clerk@example.com", ca_file=directory.ca)

    async def test_a_wrong_password_is_an_error(self, directory):
        url = f"{directory.tls}{PEOPLE}{FILTER}"
        with pytest.raises(DirectoryError, match="invalidCredentials"):
            await find(url, "romeo@example.net", bind_dn=READER, password="x", ca_file=directory.ca)

    @pytest.mark.parametrize(
        "credentials",
        [{"bind_dn": READER}, {"password": "x"}, {"bind_dn": READER, "password": ""}, {"bind_dn": ""}],
    )
    def test_half_of_it_is_an_error_at_once(self, directory, credentials):
        with pytest.raises(ConfigurationError, match="go together"):
            LDAPResolver(f"{directory.plain}{PEOPLE}{FILTER}", **credentials)
