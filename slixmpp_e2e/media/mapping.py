"""Messages and Message/CPIM (RFC 3922 4): what maps without loss, and how.

A message goes as text/plain when one text, subjects in several languages and an id are all it has; anything more
travels as application/xmpp+xml, so that nothing is lost between two of us.
"""

from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError, RefusedError
from slixmpp_e2e.media import cpim, entity_header, mime
from slixmpp_e2e.media.entity_header import is_language
from slixmpp_e2e.namespaces import CLIENT, LANG
from slixmpp_e2e.stanza import ILLEGAL, SPACE, Outer, parse_xml

_BODY: Final = f"{{{CLIENT}}}body"
_SUBJECT: Final = f"{{{CLIENT}}}subject"
_MESSAGE: Final = f"{{{CLIENT}}}message"
_PLAIN_ATTRIBUTES: Final = frozenset({"from", "to", "type", "id", LANG})
_MAX_SUBJECT: Final = 2000  # six octets each, when escaped: `cpim` bounds the headers
_MAX_SUBJECTS: Final = 16


def fits_text(message: Element) -> bool:
    """Tell whether a message can travel as text/plain and come back as it was (its type aside)."""
    if message.tag != _MESSAGE or not _PLAIN_ATTRIBUTES.issuperset(message.attrib):
        return False
    if (message.text or "").strip(SPACE):
        return False
    for child in message:
        if len(child) or not child.text or (child.tail or "").strip(SPACE):
            return False
    bodies, subjects = _children(message, _BODY), _children(message, _SUBJECT)
    if len(bodies) != 1 or len(subjects) + 1 != len(message):
        return False
    body = bodies[0].text or ""
    if bodies[0].attrib or "\r" in body:  # they would change
        return False
    return _fit_headers(subjects, message.get(LANG)) and entity_header.fits(message)


def _children(message: Element, tag: str) -> list[Element]:
    return [child for child in message if child.tag == tag]  # quicker than `findall`


def _fit_headers(subjects: list[Element], inherited: str | None) -> bool:
    """Tell whether subjects come back from Subject headers as they were: a header has no space at its ends."""
    if not subjects:  # nearly always
        return True
    texts = [subject.text or "" for subject in subjects]
    languages = [subject.get(LANG, inherited) for subject in subjects]
    return (
        all(text == text.strip(" ") for text in texts)
        and sum(map(len, texts)) <= _MAX_SUBJECT
        and all(not subject.attrib.keys() - {LANG} for subject in subjects)
        and all(
            inherited is None or subject.get(LANG) != inherited for subject in subjects
        )  # it would be dropped
        and all(language is None or is_language(language) for language in languages)
        and len(set(languages)) == len(languages) <= _MAX_SUBJECTS
    )


def write_text(message: Element, sender: JID) -> tuple[list[cpim.Header], bytes]:
    """Return the headers (Subject) and the text/plain entity of a message that fits; raise `InvalidStanzaError`."""
    subjects = _children(message, _SUBJECT)
    body = _children(message, _BODY)[0].text or ""
    if ILLEGAL.search(body) or any(ILLEGAL.search(subject.text or "") for subject in subjects):
        raise InvalidStanzaError("text with characters that XML can't carry")
    text = body.replace("\n", "\r\n").encode()
    language = message.get(LANG)  # RFC 3922 4.1.6
    headers = [cpim.Header("Subject", each.text or "", each.get(LANG, language)) for each in subjects]
    return headers, entity_header.write(
        message, sender, content_type="Content-type: text/plain; charset=utf-8", body=text
    )


def read_text(
    message: cpim.CPIMMessage, entity: mime.Entity, outer: Outer, *, early_draft: bool = False
) -> Element:
    """Return the message that text in Message/CPIM stands for.

    `entity` is text/plain, or a multipart/alternative: in several languages if all its parts are text/plain and
    say which, else the first such part (ERRATA E46); with `early_draft` it is a `<body/>` as text/xml (E47). The
    type is the outer one: RFC 3922 4.1.4 does not carry types. Raises `MalformedError` or `RefusedError`.
    """
    texts = {None: _early_body(entity)} if early_draft else _texts(entity)
    subjects = message.all("Subject")
    if any(ILLEGAL.search(text) for text in (*texts.values(), *(subject.value for subject in subjects))):
        raise MalformedError("text with characters that XML can't carry")
    element = Element(_MESSAGE)
    if outer.type != "normal":
        element.set("type", outer.type)
    entity_header.read(entity, outer.sender, element)
    inherited = element.get(LANG)
    for subject in subjects:
        _add(element, _SUBJECT, subject.value, subject.language, inherited)
    for language, text in texts.items():
        _add(element, _BODY, text.replace("\r\n", "\n").replace("\r", "\n"), language, inherited)
    return element


def _add(element: Element, tag: str, text: str, language: str | None, inherited: str | None) -> None:
    found = SubElement(element, tag)
    found.text = text
    if language and language != inherited:
        found.set(LANG, language)


def _texts(entity: mime.Entity) -> dict[str | None, str]:
    """Return the texts of an entity, by language where it says that itself."""
    if entity.media_type != "multipart/alternative":
        return {None: _plain_text(entity)}  # its language is the message's
    parts = mime.split_alternative(entity)
    plain = [part for part in parts if part.media_type == "text/plain" and "content-type" in part.fields]
    if not plain:
        raise RefusedError("nothing in it is text", reason="unsupported")
    languages = [part.fields.get("content-language") for part in plain]
    if len(plain) == len(parts) == len(set(languages)) and all(map(is_language, languages)):
        return {language: _plain_text(part) for language, part in zip(languages, plain, strict=True)}
    return {languages[0] if is_language(languages[0]) else None: _plain_text(plain[0])}


def _plain_text(entity: mime.Entity) -> str:
    try:
        return entity_header.utf8_body(entity).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("text that is not UTF-8") from None


def _early_body(entity: mime.Entity) -> str:
    body = parse_xml(entity.decoded_body().strip())
    if body.tag not in {"body", _BODY} or len(body):
        raise MalformedError("not a body with nothing but text in it")
    return (body.text or "").strip("\n")
