"""PKCS #11 URIs (RFC 7512): whatever can be written is read, and nothing else."""

from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.stores.pkcs11_uri import PKCS11URI, parse_uri

MODULE = "module-path=/usr/lib/p.so"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
paths = texts.map(lambda text: f"/{text}")
fields = st.fixed_dictionaries(
    {"module_path": paths},
    optional={
        "token": texts,
        "manufacturer": texts,
        "model": texts,
        "serial": texts,
        "slot_id": st.integers(0, 2**64 - 1),
        "object": texts,
        "id": st.binary(min_size=1),
    },
)
pins = st.one_of(st.just({}), texts.map(lambda pin: {"pin": pin}), paths.map(lambda path: {"pin_file": path}))
_QUERY = {"module_path": "module-path", "pin": "pin-value", "pin_file": "pin-source"}


def write(values: dict[str, object]) -> str:
    path, query = [], []
    for name, value in values.items():
        escaped = quote_from_bytes(value, safe="") if isinstance(value, bytes) else quote(str(value), safe="")
        if name in _QUERY:
            query.append(f"{_QUERY[name]}={escaped}")
        else:
            path.append(f"{name.replace('_', '-')}={escaped}")
    return f"pkcs11:{';'.join(path)}?{'&'.join(query)}"


@given(fields, pins)
def test_what_was_written_is_read(values, pin):
    assert parse_uri(write({**values, **pin})) == PKCS11URI(**values, **pin)


@given(fields, texts)
def test_a_pin_is_never_shown(values, pin):
    found = parse_uri(write({**values, "pin": f"<{pin}>"}))
    assert f"<{pin}>" not in repr(found) + str(found)


@given(st.text(), st.text())
def test_whatever_is_read_is_a_uri_or_a_clear_error(path, query):
    for uri in (f"pkcs11:{path}?{MODULE}&{query}", f"pkcs11:{path}?{query}", path):
        try:
            found = parse_uri(uri)
        except ConfigurationError as error:
            assert str(error).startswith("pkcs11: ")  # noqa: PT017
        else:
            assert found.module_path.startswith("/")


@given(st.text("abc%&;=?/:\0é2F", max_size=12))
def test_an_octet_that_is_not_escaped_is_an_error_or_stands_for_itself(text):
    try:
        found = parse_uri(f"pkcs11:object={text}?{MODULE}").object
    except ConfigurationError:
        return
    assert "%" in text or found == text


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("pin-source=file:/run/pin", "/run/pin"),
        ("pin-source=file:///run/pin", "/run/pin"),
        ("pin-source=file://localhost/run/pin", "/run/pin"),
        ("pin-source=/run/pin", "/run/pin"),
        ("pin-source=file:/run/my%20pin", "/run/my pin"),
    ],
)
def test_a_pin_is_in_a_file_of_this_machine(uri, path):
    assert parse_uri(f"pkcs11:token=a?{MODULE}&{uri}").pin_file == path


@pytest.mark.parametrize("kind", ["private", "cert"])
def test_key_or_certificate_may_be_named(kind):
    assert parse_uri(f"pkcs11:object=a;type={kind}?{MODULE}") == PKCS11URI("/usr/lib/p.so", object="a")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://x", "not a PKCS #11 URI"),
        ("pkcs11:token=a", "needs module-path"),
        ("pkcs11:token=a?module-path=relative.so", "module-path in the URI can't be read"),
        (f"pkcs11:token=a;token=b?{MODULE}", "token twice"),
        (f"pkcs11:token=a?{MODULE}&{MODULE}", "module-path twice"),
        (f"pkcs11:token=a?{MODULE}&pin-value=1&pin-source=/p", "exclude each other"),
        (f"pkcs11:token=a;?{MODULE}", "not NAME=VALUE"),
        (f"pkcs11:token?{MODULE}", "not NAME=VALUE"),
        (f"pkcs11:token=a b?{MODULE}", "not NAME=VALUE"),
        (f"pkcs11:token=a%2?{MODULE}", "not NAME=VALUE"),
        (f"pkcs11:token=a/b?{MODULE}", "not NAME=VALUE"),
        (f"pkcs11:token=?{MODULE}", "token in the URI can't be read"),
        (f"pkcs11:token=%ff?{MODULE}", "token in the URI can't be read"),
        (f"pkcs11:token=a%00?{MODULE}", "token in the URI can't be read"),
        (f"pkcs11:id=?{MODULE}", "id in the URI can't be read"),
        (f"pkcs11:slot-id=one?{MODULE}", "slot-id in the URI can't be read"),
        (f"pkcs11:slot-id=18446744073709551616?{MODULE}", "slot-id in the URI can't be read"),
        (f"pkcs11:type=public?{MODULE}", "type in the URI can't be read"),
        (f"pkcs11:Token=a?{MODULE}", "not understood"),
        (f"pkcs11:token=a?{MODULE}&module-name=p", "not understood"),
        (f"pkcs11:token=a?{MODULE}&pin-source=file://elsewhere/pin", "pin-source in the URI can't be read"),
        (f"pkcs11:token=a?{MODULE}&pin-source=file:pin", "pin-source in the URI can't be read"),
        (f"pkcs11:token=a?{MODULE}&pin-source=%7Ccommand", "pin-source in the URI can't be read"),
    ],
)
def test_what_is_not_understood_is_said_without_its_value(uri, words):
    with pytest.raises(ConfigurationError) as caught:
        parse_uri(uri)
    assert words in str(caught.value)
