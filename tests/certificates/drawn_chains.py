"""Chains of certificates at random, well-formed and spoilt, for comparing validators.

`Chains.plain` draws chains without constraints on directory names, each spoilt in none, one or two of the ways of
`SPOILT`; `Chains.constrained` draws chains with constraints on directory names (and others) and names in and out of
them, otherwise as they should be but for a few.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from slixmpp_e2e.cms.asn1 import oid, sequence, time, tlv
from tests.certificates import drafts
from tests.certificates.drafts import BMP, PRINTABLE, TELETEX, UTF8, Draft, extension, name
from tests.pki import MOMENT

SERVER, CLIENT, MAIL, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4", "2.5.29.37.0"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Chain:
    """An end entity, what stands between (in any order, with strangers), and the anchor."""

    leaf: x509.Certificate
    between: tuple[x509.Certificate, ...]
    anchor: x509.Certificate
    #: What was done to it.
    spoilt: tuple[str, ...]


@dataclass
class Link:
    """One certificate of a chain that is being drawn."""

    draft: Draft
    #: What is in it, by name; the draft gets them at the end.
    extensions: dict[str, bytes]
    #: Who signs it.
    signer: Any


def _identifier(key: Any) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest


def _generalized(moment: Any) -> bytes:
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def _replace(**changes: Any) -> Callable[[Random, Link], None]:
    def change(_random: Random, link: Link) -> None:
        link.draft = link.draft.but(**changes)

    return change


def _extend(kind: str, *choices: bytes) -> Callable[[Random, Link], None]:
    def change(random: Random, link: Link) -> None:
        link.extensions[kind] = random.choice(choices)

    return change


def _drop(kind: str) -> Callable[[Random, Link], None]:
    return lambda _random, link: link.extensions.pop(kind, None)


def _again(random: Random, link: Link) -> None:
    link.extensions["twice"] = random.choice(list(link.extensions.values()))


def _flip_case(_random: Random, link: Link) -> None:
    link.draft = link.draft.but(issuer=link.draft.issuer.swapcase())


def _encode(_random: Random, link: Link) -> None:
    link.draft = link.draft.but(issuer=link.draft.issuer.replace(b"\x0c\x04CA ", b"\x13\x04CA "))


#: What may be done to one certificate of a chain.
SPOILT: dict[str, Callable[[Random, Link], None]] = {
    "version 1": _replace(version=b""),
    "serial 0": _replace(serial=b"\0"),
    "serial negative": _replace(serial=b"\x80"),
    "serial of 21": _replace(serial=b"\0" + b"\xff" * 20),
    "serial of 22": _replace(serial=b"\0" + b"\xff" * 21),
    "outer algorithm": _replace(outer_algorithm=sequence(oid("1.2.840.10045.4.3.3"))),
    "another algorithm": _replace(inner_algorithm=sequence(oid("1.2.840.10045.4.3.3"))),
    "SHA-1": _replace(digest=hashes.SHA1(), inner_algorithm=sequence(oid("1.2.840.10045.4.1"))),
    "SHA-224": _replace(digest=hashes.SHA224(), inner_algorithm=sequence(oid("1.2.840.10045.4.3.1"))),
    "SHA-512": _replace(digest=hashes.SHA512(), inner_algorithm=sequence(oid("1.2.840.10045.4.3.4"))),
    "no issuer": _replace(issuer=sequence()),
    "another issuer": _replace(issuer=name(("CN", "nobody", UTF8))),
    "issuer in another case": _flip_case,
    "issuer in another encoding": _encode,
    "expired": _replace(valid_until=time(MOMENT - DAY)),
    "not yet valid": _replace(valid_from=time(MOMENT + DAY)),
    "valid for a second": _replace(valid_from=time(MOMENT), valid_until=time(MOMENT)),
    "expired a second ago": _replace(valid_until=time(MOMENT - timedelta(seconds=1))),
    "generalized time": _replace(valid_from=_generalized(MOMENT - DAY)),
    "generalized time, late": _replace(valid_until=_generalized(MOMENT + 20000 * DAY)),
    "no basicConstraints": _drop("basic"),
    "basicConstraints not critical": _extend("basic", drafts.basic_constraints(critical=False)),
    "no CA": _extend("basic", drafts.basic_constraints(ca=False)),
    "path length": _extend("basic", *(drafts.basic_constraints(length=each) for each in range(4))),
    "no keyUsage": _drop("usage"),
    "keyUsage not critical": _extend("usage", drafts.key_usage(critical=False)),
    "keyUsage without keyCertSign": _extend("usage", drafts.key_usage(0x82), drafts.key_usage(0x02)),
    "purpose server": _extend("purposes", drafts.purposes(SERVER)),
    "purposes": _extend("purposes", drafts.purposes(MAIL), drafts.purposes(CLIENT), drafts.purposes(ANY)),
    "purpose critical": _extend("purposes", drafts.purposes(CLIENT, critical=True)),
    "no authorityKeyIdentifier": _drop("authority"),
    "authorityKeyIdentifier critical": _extend("authority", drafts.authority_key(b"?", critical=True)),
    "authorityKeyIdentifier of another": _extend("authority", drafts.authority_key(b"another")),
    "authorityKeyIdentifier without one": _extend("authority", drafts.authority_key(None)),
    "no subjectKeyIdentifier": _drop("subject"),
    "subjectKeyIdentifier critical": _extend("subject", drafts.subject_key(b"?", critical=True)),
    "access": _extend(
        "access",
        extension("1.3.6.1.5.5.7.1.1", sequence(sequence(oid("1.3.6.1.5.5.7.48.1"), drafts.uri("http://a")))),
        extension("1.3.6.1.5.5.7.1.1", b"\x30\x03abc"),
        extension(
            "1.3.6.1.5.5.7.1.1",
            sequence(sequence(oid("1.3.6.1.5.5.7.48.1"), drafts.uri("http://a"))),
            critical=True,
        ),
    ),
    "unknown": _extend("unknown", extension("1.2.3.4", b"\x05\0")),
    "unknown critical": _extend("unknown", extension("1.2.3.4", b"\x05\0", critical=True)),
    "policies": _extend("policies", extension("2.5.29.32", sequence(sequence(oid("1.2.3.4"))))),
    "policies critical": _extend(
        "policies", extension("2.5.29.32", sequence(sequence(oid("1.2.3.4"))), critical=True)
    ),
    "policyConstraints critical": _extend(
        "policies", extension("2.5.29.36", sequence(tlv(0x80, b"\0")), critical=True)
    ),
    "an extension twice": _again,
    "names critical": _extend("names", drafts.alternative_name(drafts.jid("a@example.com"), critical=True)),
    "other names": _extend(
        "names",
        drafts.alternative_name(drafts.dns("www.example.com")),
        drafts.alternative_name(drafts.dns("*.example.com")),
        drafts.alternative_name(drafts.dns("-")),
        drafts.alternative_name(drafts.mail("a@example.com"), drafts.mail("b@mail.example.com")),
        drafts.alternative_name(drafts.mail("A@EXAMPLE.com")),
        drafts.alternative_name(drafts.mail('"a b"@example.com'), drafts.mail("nobody")),
        drafts.alternative_name(drafts.address(b"\x0a\1\2\3")),
        drafts.alternative_name(drafts.uri("im:a@example.com")),
        drafts.alternative_name(drafts.directory(name(("O", "Capulet", UTF8)))),
        drafts.alternative_name(),
    ),
    "constraints": _extend(
        "constraints",
        *(
            drafts.name_constraints(**{which: bases}, critical=critical)
            for which in ("permitted", "excluded")
            for critical in (True, False)
            for bases in (
                [drafts.dns("example.com")],
                [drafts.dns("other.com"), drafts.dns("www.example.com")],
                [drafts.dns(".example.com")],
                [drafts.mail("example.com")],
                [drafts.mail(".example.com")],
                [drafts.mail("a@example.com"), drafts.mail("other.com")],
                [drafts.address(b"\x0a\0\0\0\xff\0\0\0")],
                [drafts.uri("example.com")],
                [drafts.jid("example.com")],
                [drafts.dns("example.com"), drafts.mail("example.com"), drafts.uri(".example.com")],
            )
        ),
    ),
    "constraints that say nothing": _extend("constraints", drafts.name_constraints()),
    "constraints with a minimum": _extend(
        "constraints", drafts.name_constraints([drafts.dns("example.com")], rest=tlv(0x80, b"\1"))
    ),
}


@cache
def _odd_keys() -> list[Any]:
    return [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        *(rsa.generate_private_key(public_exponent=65537, key_size=size) for size in (1024, 2048)),
    ]


class Chains:
    """Draws chains; the same seed draws the same ones but for their keys."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(12)]

    def _links(self, depth: int) -> list[Link]:
        """Return the certificates of a chain as they should be, from the end entity to the anchor."""
        keys = self.random.sample(self._keys, depth)
        names = [name(("O", "Verona", UTF8), ("CN", f"CA {place}", UTF8)) for place in range(depth)]
        names[0] = name(("O", "Verona", UTF8), ("CN", "juliet", UTF8))
        links = []
        for place in range(depth):
            above = min(place + 1, depth - 1)
            extensions = {
                "authority": drafts.authority_key(_identifier(keys[above])),
                "subject": drafts.subject_key(_identifier(keys[place])),
            }
            if place:
                extensions |= {"basic": drafts.basic_constraints(), "usage": drafts.key_usage()}
            else:
                extensions["names"] = drafts.alternative_name(drafts.jid("juliet@example.com"))
            links.append(Link(Draft(names[place], names[above], keys[place]), extensions, keys[above]))
        return links

    def _use_key(self, links: list[Link], place: int, key: Any) -> None:
        """Give one of them another key."""
        links[place].draft = links[place].draft.but(key=key)
        links[place].extensions["subject"] = drafts.subject_key(_identifier(key))
        for below in (*([place - 1] if place else []), *([place] if place == len(links) - 1 else [])):
            links[below].signer = key
            links[below].extensions["authority"] = drafts.authority_key(_identifier(key))

    def _signed(self, links: list[Link], spoilt: list[str], *, in_order: bool) -> Chain:
        found = [
            link.draft.but(extensions=tuple(link.extensions.values())).sign(link.signer) for link in links
        ]
        between = found[1:-1]
        if not in_order:
            if between and self.random.random() < 0.05:
                between.pop(self.random.randrange(len(between)))
                spoilt.append("one is missing")
            if self.random.random() < 0.2:
                between.append(found[-1])
            self.random.shuffle(between)
        return Chain(found[0], tuple(between), found[-1], tuple(spoilt))

    def plain(self) -> Chain:
        """Draw a chain without constraints on directory names."""
        while True:
            try:
                return self._plain()
            except (ValueError, x509.InvalidVersion):  # nobody can read it
                continue

    def _plain(self) -> Chain:
        random = self.random
        links = self._links(random.choice((2, 2, 3, 3, 3, 4, 5, 6, 7, 8)))
        spoilt = []
        if random.random() < 0.15:
            self._use_key(links, random.randrange(len(links)), random.choice(_odd_keys()))
            spoilt.append("another kind of key")
        if random.random() < 0.1 and len(links) > 3:  # somebody who is issued by himself
            place = random.randrange(1, len(links) - 2)
            links[place].draft = links[place].draft.but(subject=links[place].draft.issuer)
            links[place - 1].draft = links[place - 1].draft.but(issuer=links[place].draft.subject)
            spoilt.append("self-issued")
        for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3))):
            kind = random.choice(tuple(SPOILT))
            SPOILT[kind](random, random.choice(links))
            spoilt.append(kind)
        if random.random() < 0.3:
            for kind, link in (
                ("constraints", random.choice(links[1:])),
                ("other names", random.choice(links[:2])),
            ):
                SPOILT[kind](random, link)
                spoilt.append(kind)
        if random.random() < 0.05:
            random.choice(links).signer = random.choice(self._keys)
            spoilt.append("signature of another")
        return self._signed(links, spoilt, in_order=False)

    # ------------------------------------------------------------------ with constraints on directory names

    def _written(self, text: str) -> tuple[str, int]:
        """Write a text in one of the ways that mean the same, more often than not the usual one."""
        random = self.random
        if random.random() < 0.75:
            return text, UTF8
        text = random.choice(
            (text, text.upper(), text.lower(), f" {text}", f"{text}  ", text.replace(" ", "   "))
        )
        return text, random.choice((UTF8, PRINTABLE, BMP, TELETEX))

    def _name(self, deepest: int = 3, last: str | None = None) -> bytes:
        """Draw a name from a small world, so that one is often within another."""
        random = self.random
        rdns: list[Any] = []
        for kind, texts in (
            ("C", ("IT", "IT", "DE")),
            ("O", ("Casa Verona", "Mantua")),
            ("OU", ("West", "East")),
        ):
            rdns.append((kind, *self._written(random.choice(texts))))
        if random.random() < 0.15:
            rdns[1] = [rdns[1], ("OU", *self._written("Both"))]
        rdns = rdns[: random.randrange(deepest + 1)]
        return name(*rdns, *([("CN", *self._written(last))] if last else []))

    def _bases(self) -> list[bytes]:
        random = self.random
        others = (
            drafts.dns("example.com"),
            drafts.mail("example.com"),
            drafts.mail(".example.com"),
            drafts.mail("juliet@example.com"),
            drafts.uri("example.com"),
        )
        found = [
            drafts.directory(self._name(random.choice((1, 2, 3)))) for _ in range(random.choice((1, 1, 2, 3)))
        ]
        if random.random() < 0.2:
            found.append(random.choice(others))
        return found

    def _constraints(self) -> bytes:
        random = self.random
        both = random.choice((("permitted",), ("permitted",), ("excluded",), ("permitted", "excluded")))
        return drafts.name_constraints(
            **{which: self._bases() for which in both}, critical=random.random() < 0.85
        )

    def constrained(self) -> Chain:
        """Draw a chain with at least one constraint on directory names."""
        random = self.random
        links = self._links(random.choice((2, 3, 3, 3, 4, 5)))
        spoilt: list[str] = []
        for place, link in enumerate(links):
            subject = self._name(3, None if place == 0 and random.random() < 0.1 else f"number {place}")
            link.draft = link.draft.but(subject=subject)
        for place, link in enumerate(links):
            link.draft = link.draft.but(issuer=links[min(place + 1, len(links) - 1)].draft.subject)
        if random.random() < 0.15 and len(links) > 3:
            place = random.randrange(1, len(links) - 2)
            links[place].draft = links[place].draft.but(subject=links[place].draft.issuer)
            links[place - 1].draft = links[place - 1].draft.but(issuer=links[place].draft.subject)
            spoilt.append("self-issued")
        for place in random.sample(range(1, len(links)), random.choice((1, 1, min(2, len(links) - 1)))):
            links[place].extensions["constraints"] = self._constraints()
        for link in links:
            # what a CA constrains binds its own alternative names here, as in the library, and not in OpenSSL
            if random.random() < 0.25 and "constraints" not in link.extensions:
                link.extensions["names"] = drafts.alternative_name(*self._alternatives())
            if random.random() < 0.1:
                written = random.choice(("juliet@example.com", "a@mail.example.com", "b@example.net"))
                rdns = link.draft.subject[2:] + name(("E", written, drafts.IA5))[2:]
                self._rename(links, link, sequence(rdns))
        if random.random() < 0.1:
            kind = random.choice(("expired", "no CA", "no keyUsage", "unknown critical", "path length"))
            SPOILT[kind](random, random.choice(links[1:]))
            spoilt.append(kind)
        if random.random() < 0.05:
            random.choice(links[:-1]).signer = random.choice(self._keys)
            spoilt.append("signature of another")
        return self._signed(links, spoilt, in_order=random.random() < 0.5)

    def _rename(self, links: list[Link], link: Link, subject: bytes) -> None:
        if link.draft.subject == link.draft.issuer:
            return
        for each in links:
            if each.draft.issuer == link.draft.subject:
                each.draft = each.draft.but(issuer=subject)
        link.draft = link.draft.but(subject=subject)

    def _alternatives(self) -> list[bytes]:
        random = self.random
        everything = [
            drafts.jid("juliet@example.com"),
            drafts.mail("juliet@example.com"),
            drafts.mail("Juliet@mail.example.com"),
            drafts.dns("www.example.com"),
            drafts.dns("example.net"),
            drafts.uri("im:juliet@example.com"),
            drafts.directory(self._name(3, "an alternative")),
            drafts.directory(self._name(3, "an alternative")),
        ]
        return random.sample(everything, random.choice((1, 1, 2, 3)))
