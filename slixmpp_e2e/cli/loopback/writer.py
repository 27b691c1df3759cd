"""Elements in, the text of an XML stream out."""

from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from slixmpp_e2e.namespaces import XML


def serialise(element: Element, *, default_namespace: str = "") -> str:
    """Write an element as it stands inside a parent whose default namespace is `default_namespace`.

    Elements use the default namespace only, attributes in a namespace get a prefix. A carriage return is
    written as it is, so the receiver's parser turns it into a line feed: real servers do the same.
    """
    namespace, name = _split(element.tag)
    parts = ["<", name]
    if namespace != default_namespace:
        parts.append(f' xmlns="{_attribute(namespace)}"')
    for number, (key, value) in enumerate(element.items()):
        attribute_namespace, attribute = _split(key)
        if attribute_namespace == XML:
            attribute = f"xml:{attribute}"
        elif attribute_namespace:
            parts.append(f' xmlns:a{number}="{_attribute(attribute_namespace)}"')
            attribute = f"a{number}:{attribute}"
        parts.append(f' {attribute}="{_attribute(value)}"')
    if element.text or len(element):
        parts.append(">")
        parts.append(escape(element.text or ""))
        for child in element:
            parts.append(serialise(child, default_namespace=namespace))
            parts.append(escape(child.tail or ""))
        parts.append(f"</{name}>")
    else:
        parts.append("/>")
    return "".join(parts)


def remap(element: Element, *, old: str, new: str) -> None:
    """Move an element from one default namespace of a stream to another, in place.

    It stops at the first element of a foreign namespace: a message inside `<forwarded/>` names its namespace
    itself and keeps it (XEP-0114 uses `jabber:component:accept` where clients use `jabber:client`).
    """
    namespace, name = _split(element.tag)
    if namespace == old:
        element.tag = f"{{{new}}}{name}"
        for child in element:
            remap(child, old=old, new=new)


def _split(name: str) -> tuple[str, str]:
    namespace, brace, local = name.rpartition("}")
    return (namespace[1:], local) if brace else ("", name)


def _attribute(value: str) -> str:
    return escape(value, {'"': "&quot;", "'": "&apos;"})
