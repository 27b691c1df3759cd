"""LDAP URLs, and filters that no JID can change."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import encode

from slixmpp_e2e import stores
from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.plugin.resolvers import read_resolvers
from slixmpp_e2e.stores.ldap import LDAPResolver
from slixmpp_e2e.stores.ldap_url import escape, fill, is_url, read_url

DOCS = Path(__file__).parents[2] / "docs"
HOST = "ldaps://ldap.example.com"
FILTER = "(mail={bare})"


class TestReading:
    def test_all_parts(self):
        url = read_url(
            f"ldaps://ldap.example.com/ou=people,dc=example,dc=com?userCertificate;binary?sub?{FILTER}"
        )
        assert (url.scheme, url.host, url.port) == ("ldaps", "ldap.example.com", 636)
        assert (url.base, url.attributes) == ("ou=people,dc=example,dc=com", ("userCertificate;binary",))
        assert (url.scope, url.template) == ("sub", FILTER)

    def test_what_may_be_left_out(self):
        url = read_url(f"LDAP://example.com:1389/???{FILTER}")
        assert (url.scheme, url.port, url.base, url.scope) == ("ldap", 1389, "", "base")
        assert url.attributes == ("userCertificate;binary", "userCertificate")

    def test_percent_encoding_is_read_after_the_parts_are_told_apart(self):
        url = read_url(f"{HOST}/o=What%3F%20%2526??ONE?(%26(cn=%7Blocal%7D)(mail=*%3F))")
        assert (url.base, url.scope) == ("o=What? %26", "one")
        assert url.template == "(&(cn={local})(mail=*?))"

    @pytest.mark.parametrize(
        ("text", "host", "port"),
        [
            ("ldap://[::1]/", "::1", 389),
            ("ldaps://[2001:db8::1]:1636/", "2001:db8::1", 1636),
            ("ldapi://%2Frun%2Fslapd%2Fldapi/", "/run/slapd/ldapi", None),
        ],
    )
    def test_where_it_leads(self, text, host, port):
        url = read_url(f"{text}???{FILTER}")
        assert (url.host, url.port) == (host, port)

    @pytest.mark.parametrize(
        ("text", "local"),
        [
            ("ldapi://%2Frun%2Fldapi/", True),
            ("ldap://localhost/", True),
            ("ldap://127.8.9.1/", True),
            ("ldap://[::1]/", True),
            ("ldap://localhost.example.com/", False),
            ("ldap://127.0.0.1.example.com/", False),
            ("ldap://192.0.2.1/", False),
            ("ldap://ldap/", False),
        ],
    )
    def test_only_this_machine_is_local(self, text, local):
        assert read_url(f"{text}???{FILTER}").is_local is local

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("http://example.com/", "no LDAP URL"),
            ("ldap:example.com", "no LDAP URL"),
            (f"ldap:///???{FILTER}", "names no server"),
            (f"ldapi:///???{FILTER}", "names no server"),
            (f"ldap://example.com:x/???{FILTER}", "Port"),
            (f"ldap://example.com:70000/???{FILTER}", "Port"),
            (f"ldap://me:secret@example.com/???{FILTER}", "names a user"),
            (f"{HOST}/???{FILTER}?!bindname=cn=me", "extensions"),
            (f"{HOST}/???{FILTER}#x", "no LDAP URL"),
            (f"{HOST}/o=a b???{FILTER}", "no LDAP URL"),
            (f"{HOST}/o=%FF???{FILTER}", "can't decode"),
            (f"{HOST}/cn={{bare}}???{FILTER}", "only the filter"),
            (f"{HOST}/?a b,c??{FILTER}", "no LDAP URL"),
            (f"{HOST}/?{{bare}}??{FILTER}", "attributes"),
            (f"{HOST}/?cn,,sn??{FILTER}", "attributes"),
            (f"{HOST}/??tree?{FILTER}", "scope"),
            (f"{HOST}/", "place for the JID"),
            (f"{HOST}/???(objectClass=*)", "place for the JID"),
            (f"{HOST}/???(mail=*@{{domain}})", "place for the JID"),
            (f"{HOST}/???(mail={{bare}})(cn={{node}})", "places for node"),
            (f"{HOST}/???({{local}}=x)", "no value"),
            (f"{HOST}/???{{bare}}", "no value"),
            (f"{HOST}/???mail={{bare}}", "invalid filter"),
            (f"{HOST}/???(mail={{bare}}", "filter"),
            (f"{HOST}/???(&(mail={{bare}}){{bare}})", "malformed filter"),
            (f"{HOST}/example???{FILTER}", "attribute type"),
        ],
    )
    def test_what_can_t_be_used_is_an_error(self, text, complaint):
        with pytest.raises(ConfigurationError, match=complaint):
            LDAPResolver(text)


# Whatever the JID type lets through now or some day; neither part is ever empty.
anything = (
    st.text(st.characters(codec="utf-8"), min_size=1)
    | st.text("*()\\\0&|!=~<>: ,;#a2", min_size=1)
    | st.sampled_from(["*", r"\2a", "\\", ")(cn=*", "\0", r"\00"])
)
TEMPLATES = (
    FILTER,
    "(&(objectClass=person)(|(mail={bare})(cn={local})(!(o:dn:2.5.13.2:={domain}))))",
    "(cn=*{local}*{domain})",
)


@pytest.mark.parametrize("template", TEMPLATES)
@given(local=anything, domain=anything)
def test_no_jid_changes_a_filter(template, local, domain):
    """What is sent is the same with other octets in it: those of the JID, and nothing else."""
    values = {"bare": f"{local}@{domain}", "local": local, "domain": domain}
    marks = {name: f"the {name}" for name in values}
    octets = {mark.encode(): values[name].encode() for name, mark in marks.items()}
    expected = [(depth, tag, octets.get(value, value)) for depth, tag, value in sent(fill(template, marks))]
    assert sent(fill(template, values)) == expected


def sent(search_filter: str) -> list[tuple[int, int, bytes]]:
    """Return what ldap3 sends for a filter: depth, tag and octets of all values (RFC 4511 4.5.1)."""
    request = search_operation(
        "", search_filter, "SUBTREE", "NEVER", ["cn"], 0, 0, False, False, True, None, None, False
    )
    return list(leaves(encode(request)))


def leaves(octets: bytes, depth: int = 0) -> Iterator[tuple[int, int, bytes]]:
    while octets:
        tag, length, start = octets[0], octets[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(octets[2:start])
        content, octets = octets[start : start + length], octets[start + length :]
        yield from leaves(content, depth + 1) if tag & 0x20 else [(depth, tag, content)]


@given(anything)
def test_what_is_escaped_has_nothing_that_means_anything(text):
    escaped = escape(text)
    assert re.fullmatch(r"([A-Za-z0-9@._-]|\\[0-9a-f]{2})*", escaped)
    octets = re.sub(rb"\\(..)", lambda match: bytes.fromhex(match[1].decode()), escaped.encode())
    assert octets == text.encode()


class TestDocumentation:
    def test_every_url_in_it_can_be_used(self):
        pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
        urls = re.findall(r'(?<=["`])ldaps?://[^"`|]{10,}', pages)
        assert len(urls) >= 2
        for url in urls:
            assert read_url(url).search_filter("juliet@example.com/x") == "(mail=juliet@example.com)"

    def test_what_it_says_of_blanks_and_ampersands(self):
        url = read_url(f"{HOST}/o=A%20B%3F??sub?(&(cn=a%20b){FILTER})")
        assert (url.base, url.template) == ("o=A B?", f"(&(cn=a b){FILTER})")


class TestOption:
    @pytest.mark.parametrize("scheme", ["ldap", "ldaps", "LDAPS"])
    def test_a_url_stands_for_a_resolver(self, scheme):
        url = f"{scheme}://ldap.example.com/o=x??sub?{FILTER}"
        assert is_url(url)
        for option in (url, [url]):
            (found,) = read_resolvers(option, None)
            assert isinstance(found, LDAPResolver)

    def test_one_that_can_t_be_used_names_the_option(self):
        with pytest.raises(ConfigurationError, match="resolvers: the LDAP URL"):
            read_resolvers(["ldaps://ldap.example.com/"], None)

    def test_without_ldap3_it_is_an_error_at_once(self, monkeypatch):
        monkeypatch.delattr(stores, "ldap_search", raising=False)
        monkeypatch.delitem(sys.modules, "slixmpp_e2e.stores.ldap_search", raising=False)
        monkeypatch.setitem(sys.modules, "ldap3", None)
        with pytest.raises(ConfigurationError, match=r"needs ldap3.*slixmpp_e2e\[ldap\]"):
            LDAPResolver(f"{HOST}/???{FILTER}")

    def test_a_ca_file_that_is_none_is_an_error_at_once(self, tmp_path):
        empty = tmp_path / "ca.pem"
        empty.write_text("nothing")
        for path in (empty, tmp_path / "missing"):
            with pytest.raises(ConfigurationError, match=path.name):
                LDAPResolver(f"{HOST}/???{FILTER}", ca_file=path)
        with pytest.raises(ConfigurationError, match="no TLS"):
            LDAPResolver(f"ldapi://%2Fx/???{FILTER}", ca_file=empty)
