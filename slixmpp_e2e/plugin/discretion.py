"""What logs show of what was encrypted: nothing, unless somebody asks for it (`debug_plaintext`).

slixmpp logs each stanza that it delivers (DEBUG, "RECV", behind the filters and so after decryption), each that it
can't send yet or throws away ("NOT SENT", "Discarded stanza", before encryption), and at ERROR and WARNING the
request or the answer of an exception that a program's handler has not caught (`IqTimeout`, `IqError`). What goes
over the wire ("SEND") it logs behind encryption.

A filter on these loggers puts an outline in the place of such stanzas: kind, type and addresses. It runs only when
there is something to log, so that it costs nothing where DEBUG is off, and it changes the record itself, so that
every handler gets the outline.

**Not** covered: what slixmpp's plugins log of single fields at DEBUG, what a program's own filters and handlers log,
and what bypasses the filters. What was signed only is shown: everybody could read it.
"""

import logging
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slixmpp import Iq, Message, Presence

from slixmpp_e2e.plugin.stanzas import Stanza, arrival_report_of, inner_report_of, kind_of, type_of

#: Those that log whole stanzas, or exceptions that bear one; asyncio logs exceptions of tasks that nobody awaited.
_LOGGERS: Final = ("slixmpp.xmlstream.xmlstream", "slixmpp.basexmpp", "slixmpp.stanza.rootstanza", "asyncio")
#: The one that logs the text of an error that nobody caught.
_UNCAUGHT: Final = "slixmpp.basexmpp"
_RECEIVED: Final = "RECV"
_HIDDEN: Final = "(not shown)"
#: How many places in the code of an exception are logged, the innermost ones.
_PLACES: Final = 16


def where(error: BaseException) -> str:
    """Return what kind of exception it is and where it was raised, and not its text: that may quote anything."""
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_PLACES:]
    ]
    return f"{type(error).__name__} at {' < '.join(reversed(places)) or 'an unknown place'}"


@dataclass(eq=False)
class Discretion:
    """Keeps what was encrypted, or will be, out of slixmpp's log; see `logging.Filter`."""

    xmpp: Any
    #: Tells whether a stanza of ours may be encrypted when it leaves (`Outbound.may_be_protected`).
    may_be_protected: Callable[[Stanza], bool]
    _installed: "_Installed | None" = None

    def start(self) -> None:
        """Filter from now on."""
        self._installed = _Installed(self)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._installed)

    def stop(self) -> None:
        """Filter no more."""
        if self._installed is not None:
            self._installed.remove()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with outlines for what is not to be seen in it. Never raises."""
        try:
            self._rewrite(record)
        except Exception as error:  # noqa: BLE001 better no record than one with everything in it
            record.msg, record.args, record.exc_info = "not logged: %s", (where(error),), None
        return True

    def _rewrite(self, record: logging.LogRecord) -> None:
        arrived = str(record.msg).startswith(_RECEIVED)
        if isinstance(record.args, tuple) and record.args:
            record.args = tuple(self._shown(each, arrived=arrived) for each in record.args)
        uncaught = sys.exc_info()[1] if record.name == _UNCAUGHT else None
        if isinstance(record.args, tuple) and any(self._bears_hidden(each) for each in _chain(uncaught)):
            record.args = (*record.args[:1], *[_HIDDEN] * len(record.args[1:]))  # what the peer says of it
        failure = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if failure is not None and any(self._bears_hidden(each) for each in _chain(failure)):
            record.msg, record.args = f"{record.getMessage()} (%s)", (where(failure),)
            record.exc_info = record.exc_text = None  # its text is the whole stanza

    def _shown(self, value: Any, *, arrived: bool) -> Any:
        if isinstance(value, tuple):
            return tuple(self._shown(each, arrived=arrived) for each in value)
        return _outline(value) if self._is_hidden(value, arrived=arrived) else value

    def _is_hidden(self, value: Any, *, arrived: bool) -> bool:
        if not isinstance(value, (Message, Presence, Iq)) or value.stream is not self.xmpp:
            return False
        report = arrival_report_of(value) or inner_report_of(value)
        if report is not None:
            return report.encrypted
        return not arrived and self.may_be_protected(value)

    def _bears_hidden(self, error: BaseException) -> bool:
        borne = getattr(error, "iq", None) or getattr(error, "presence", None)
        return self._is_hidden(borne, arrived=False)


class _Installed(logging.Filter):
    """What the loggers hold: loggers are for ever, and a client that is gone shall be gone."""

    def __init__(self, discretion: Discretion) -> None:
        super().__init__()
        self._discretion = weakref.ref(discretion, lambda _gone: self.remove())

    def filter(self, record: logging.LogRecord) -> bool:
        discretion = self._discretion()
        return True if discretion is None else discretion.filter(record)

    def remove(self) -> None:
        """Take it out of all loggers."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _outline(stanza: Stanza) -> str:
    attributes = "".join(
        f" {name}={stanza.xml.get(name)!a}" for name in ("from", "to") if stanza.xml.get(name)
    )
    return f"<{kind_of(stanza)} type={type_of(stanza)!a}{attributes}> {_HIDDEN}"
