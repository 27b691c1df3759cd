"""Whatever stanza goes in, it comes out at the other end of a stream, and says who it is from."""

from collections.abc import Callable
from copy import deepcopy
from xml.etree.ElementTree import Element

import pytest
from hypothesis import example, given

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import LocalError, SignatureError
from slixmpp_e2e.leaving import Format
from slixmpp_e2e.policy import Level, read_policy
from tests.accounts import Clock, account
from tests.elements import same, stanza
from tests.pki import PKI
from tests.protection.drawn import normal, over_a_server, stanzas, written
from tests.protection.ways import outer_of, protect, unprotect

WAYS = [
    pytest.param("rfc3923", Level.SIGN, AES128_CBC, id="signed"),
    pytest.param("rfc3923", Level.REQUIRED, AES128_CBC, id="CBC"),
    pytest.param("rfc3923", Level.REQUIRED, AES256_GCM, id="GCM"),
    pytest.param("rfc3923", Level.ENCRYPT_UNSIGNED, AES128_CBC, id="CBC-unsigned"),
    pytest.param("rfc3923", Level.ENCRYPT_UNSIGNED, AES256_GCM, id="GCM-unsigned"),
    pytest.param("objenc", Level.REQUIRED, AES128_CBC, id="objenc-signed"),
    pytest.param("objenc", Level.ENCRYPT_UNSIGNED, AES128_CBC, id="objenc"),
]
HERE = "from='juliet@example.com/balcony' to='romeo@example.net/orchard'"
Way = Callable[[Element, Format, Level, object], Unprotected]


@pytest.fixture(scope="module")
def way(pki: PKI) -> Way:
    """From juliet over a server to romeo, who takes from her what nobody signed."""
    clock = Clock()
    policy = read_policy({"*": "encrypt-unsigned"})
    by = {
        cipher: Endpoint.over(account(pki, pki["juliet"], clock, peers=[pki["romeo"]], cipher=cipher))
        for cipher in (AES128_CBC, AES256_GCM)
    }
    to = Endpoint.over(account(pki, pki["romeo"], clock), policy=policy)

    def go(element: Element, written_as: Format, level: Level, cipher: object) -> Unprotected:
        response_to = "request" if element.get("type") in {"result", "error"} else None
        outer = by[cipher].protect(
            written(element), level=level, response_to=response_to, written_as=written_as
        )
        clock.pass_seconds(1)
        return to.unprotect(over_a_server(outer))

    return go


@pytest.mark.requirement("3862-9-1", "3923-5-1", "3863-6-1")
@pytest.mark.parametrize(("written_as", "level", "cipher"), WAYS)
@given(element=stanzas())
@example(element=stanza(f"<message {HERE} type='normal'>\n <body>]]&gt;&#13;\n</body>\t</message>"))
@example(element=stanza(f"<message {HERE}><body>a</body> <subject xml:lang='de'>&#13; b</subject></message>"))
@example(element=stanza(f"<presence {HERE}><priority>1</priority>\n<show>xa</show><status/></presence>"))
@example(
    element=stanza(f"<iq {HERE} type='set' id=' '><x xmlns='urn:x' a='&#13;&#10;'><y xmlns=''/></x></iq>")
)
@pytest.mark.requirement("reqs-5-1")
def test_any_stanza_comes_back_as_it_was(way, written_as, level, cipher, element):
    if level is Level.ENCRYPT_UNSIGNED and element.tag.endswith(
        "}iq"
    ):  # its answer would tell too much (E29)
        with pytest.raises(SignatureError):
            way(element, written_as, level, cipher)
        return
    found = way(element, written_as, level, cipher)
    assert same(normal(found.stanza), normal(element)), (written(found.stanza), written(element))
    is_signed = level is not Level.ENCRYPT_UNSIGNED
    assert (found.report.authenticated, found.report.encrypted) == (is_signed, level is not Level.SIGN)
    assert found.report.format == written_as
    assert found.report.signer == ("juliet@example.com" if is_signed else None)


def message(inside: str, attributes: str = "") -> Element:
    return stanza(f"<message {HERE} {attributes}>{inside}</message>")


def nested(depth: int) -> Element:
    return message("<x xmlns='urn:x'>" * depth + "</x>" * depth)


def attributes(number: int) -> Element:
    several = " ".join(f"a{each}=''" for each in range(number))
    return message(f"<x xmlns='urn:x' {several}/>")


@pytest.mark.parametrize(
    ("largest", "too_large"),
    [
        pytest.param(nested(62), nested(63), id="depth"),
        pytest.param(message("<x xmlns='urn:x'/>" * 19_998), message("<x xmlns='urn:x'/>" * 19_999), id="elements"),
        pytest.param(attributes(64), attributes(65), id="attributes"),
        pytest.param(message(f"<{'x' * 1018} xmlns='urn:x'/>"), message(f"<{'x' * 1019} xmlns='urn:x'/>"), id="name"),
        pytest.param(message("<y xmlns='urn:x'/>", f"id='{'x' * 1024}'"),
                     message("<y xmlns='urn:x'/>", f"id='{'x' * 1025}'"), id="id"),
        pytest.param(message("<y xmlns='urn:x'>" + "\n" * 261_000 + "</y>"),
                     message("<y xmlns='urn:x'>" + "\n" * 263_000 + "</y>"), id="octets"),
        pytest.param(stanza(f"<presence {HERE}><status>" + "\n" * 261_000 + "</status></presence>"),
                     stanza(f"<presence {HERE}><status>" + "\n" * 263_000 + "</status></presence>"), id="PIDF"),
    ],
)  # fmt: skip
def test_what_nobody_would_read_does_not_leave_and_all_else_comes_back(pki, largest, too_large):
    clock = Clock()
    by = account(pki, pki["juliet"], clock)
    text = protect(by, deepcopy(largest), Level.SIGN)
    found = unprotect(account(pki, pki["romeo"], clock), text, outer_of(largest))
    assert same(normal(found.stanza), normal(largest))
    with pytest.raises(LocalError):
        protect(by, too_large, Level.SIGN)
