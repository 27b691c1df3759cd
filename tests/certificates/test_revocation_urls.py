"""Where a CA says that one can ask, and which addresses are none."""

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from slixmpp_e2e.certificates.revocation_urls import host_of, list_urls, responder_urls
from tests.certificates.building import authority, end_entity

ROOT = authority("Root")
OCSP, ISSUERS = AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS
PIECES = (
    "http",
    "https",
    "://",
    ":",
    "//",
    "/",
    "@",
    "\\",
    "?",
    "#",
    "[",
    "]",
    "[::1]",
    "a",
    ".b",
    "%40",
    "80",
    "1.2.3.4",
)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


class TestHosts:
    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("http://ocsp.example.com", "ocsp.example.com"),
            ("HTTP://OCSP.Example.com/", "ocsp.example.com"),
            ("https://a:8080/x?y=z&%20", "a"),
            ("http://[2001:DB8::1]:80/", "[2001:db8::1]"),
            ("http://127.0.0.1/", "127.0.0.1"),
        ],
    )
    def test_these_can_be_asked(self, url, host):
        assert host_of(url) == host

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http:",
            "ldap://a/",
            "http\u017f://a/",
            "http://\u212a/",
            "http://a/\n",
            "http://a\n",
            "http://-a/",
        ],
    )
    def test_these_can_t(self, url):
        assert host_of(url) is None

    @given(st.lists(st.sampled_from(PIECES) | st.characters(), max_size=12).map("".join))
    def test_who_asks_sees_the_same_host_and_nobody_else(self, rest):
        for url in (rest, f"http://{rest}", f"https://a{rest}"):
            host = host_of(url)
            if host is None:
                continue
            try:
                found = URL(url)
            except ValueError:
                continue  # it is not asked at all
            assert found.scheme in {"http", "https"}
            assert (found.user, found.password, found.fragment) == (None, None, "")
            assert found.host.lower() == host.strip("[]")


class TestCertificates:
    def test_the_addresses_of_responders(self):
        access = x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(ISSUERS, uri("http://a/ca.crt")),
                x509.AccessDescription(OCSP, x509.DNSName("b")),
                x509.AccessDescription(OCSP, uri("ldap://c")),
                x509.AccessDescription(OCSP, uri("http://d")),
            ]
        )
        assert responder_urls(end_entity(access, issuer=ROOT).certificate) == ("http://d",)

    def test_the_addresses_of_lists(self):
        name = x509.DirectoryName(ROOT.certificate.subject)
        relative = x509.RelativeDistinguishedName(list(ROOT.certificate.subject)[:1])
        points = x509.CRLDistributionPoints(
            [
                x509.DistributionPoint([uri("ldap://a"), uri("http://a"), uri("http://b")], None, None, None),
                x509.DistributionPoint([uri("http://indirect")], None, None, [name]),
                x509.DistributionPoint(None, relative, None, None),
                x509.DistributionPoint([name], None, None, None),
                x509.DistributionPoint(
                    [uri("http://c")], None, frozenset({x509.ReasonFlags.ca_compromise}), None
                ),
            ]
        )
        assert list_urls(end_entity(points, issuer=ROOT).certificate) == (
            ("http://a", "http://b"),
            ("http://c",),
        )

    def test_without_any_there_are_none(self):
        plain = end_entity(issuer=ROOT).certificate
        assert (responder_urls(plain), list_urls(plain)) == ((), ())

    def test_what_can_t_be_read_says_nothing(self):
        broken = [
            x509.UnrecognizedExtension(kind.oid, b"\x05\x00")
            for kind in (x509.AuthorityInformationAccess, x509.CRLDistributionPoints)
        ]
        found = end_entity(*broken, issuer=ROOT).certificate
        assert (responder_urls(found), list_urls(found)) == ((), ())
