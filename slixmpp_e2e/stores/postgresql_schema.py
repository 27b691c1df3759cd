"""The tables and functions of the store in PostgreSQL, and how databases of earlier versions become of this one.

Everything is in one schema, which the connection's `search_path` names. Each change is one call of one function,
so it is one round trip and one transaction, READ COMMITTED: every statement inside sees what was committed before.

The locks of `admit`: the row of a signer is locked first; who has none yet locks the row of everybody, and looks
for his own again. Whoever holds the row of everybody may wait for a signer's; whoever holds a signer's row waits
for nothing more. So nobody waits in a circle. And so signers who are known count those who are dated ahead without
a lock: as many of them as there are processes may be beyond the half for it (`freshness.ReplayRecord`).
"""

from typing import Final

VERSION: Final = 2
#: So that somebody else's tables are not taken for ours.
APPLICATION: Final = "slixmpp_e2e"
#: The advisory lock under which a schema is made or migrated: "e2ex".
MIGRATION_LOCK: Final = 0x65326578

_TABLES: Final = """
CREATE TABLE store (
    application text NOT NULL,
    version integer NOT NULL,
    floor bigint NOT NULL,  -- everybody's
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
CREATE TABLE certificate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    jid text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    chain bytea NOT NULL,
    issuer_and_serial bytea,
    key_identifier bytea,
    announcement bytea,
    UNIQUE (jid, fingerprint)
);
-- a signer may name any certificate; and hash, because an issuer may be longer than a row of a B-tree
CREATE INDEX certificate_by_issuer ON certificate USING hash (issuer_and_serial);
CREATE INDEX certificate_by_key ON certificate USING hash (key_identifier);
CREATE TABLE decision (
    jid text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    trust text NOT NULL,
    PRIMARY KEY (jid, fingerprint)
);
CREATE TABLE signer (
    jid text COLLATE "C" PRIMARY KEY,
    floor bigint NOT NULL,
    newest bigint NOT NULL,
    entries integer NOT NULL
) WITH (fillfactor = 50);  -- a row changes with every stanza: there is room for it in the same page
CREATE TABLE seen (
    jid text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    timestamp bigint NOT NULL,
    received bigint NOT NULL,
    PRIMARY KEY (jid, digest)
);
CREATE INDEX seen_by_timestamp ON seen (jid, timestamp);
CREATE TABLE revocation_list (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key bytea NOT NULL UNIQUE,  -- its SHA-256: a key may be longer than a row of a B-tree
    list bytea NOT NULL
);
"""

_ADMIT: Final = """
CREATE FUNCTION admit(
    signer_ text, digest_ bytea, timestamp_ bigint, received_ bigint, recent bigint,
    max_ahead bigint, max_entries integer, max_signers integer,
    OUT seen_ boolean, OUT highest bigint, OUT ahead boolean
) LANGUAGE plpgsql AS $$
DECLARE
    known signer%ROWTYPE;
    victim signer%ROWTYPE;
    everybody bigint;
    ahead_from bigint := received_ + max_ahead;
    dropped record;
BEGIN
    seen_ := true;
    ahead := false;
    SELECT * INTO known FROM signer WHERE jid = signer_ FOR UPDATE;
    IF NOT FOUND THEN
        SELECT floor INTO STRICT everybody FROM store FOR UPDATE;
        SELECT * INTO known FROM signer WHERE jid = signer_ FOR UPDATE;
        IF NOT FOUND THEN
            IF timestamp_ <= everybody THEN
                RETURN;
            END IF;
            IF timestamp_ > ahead_from
                AND (SELECT count(*) FROM signer WHERE newest > ahead_from) >= max_signers / 2
            THEN
                ahead := true;
                RETURN;
            END IF;
            IF (SELECT count(*) FROM signer) >= max_signers THEN
                LOOP  -- until it is the oldest one that is locked: others may become newer while we wait
                    SELECT * INTO STRICT victim FROM signer ORDER BY newest, jid LIMIT 1 FOR UPDATE;
                    EXIT WHEN NOT EXISTS (SELECT FROM signer WHERE newest < victim.newest);
                END LOOP;
                IF timestamp_ <= victim.newest THEN
                    RETURN;
                END IF;
                DELETE FROM seen WHERE jid = victim.jid;
                DELETE FROM signer WHERE jid = victim.jid;
                UPDATE store SET floor = greatest(floor, victim.newest);
            END IF;
            INSERT INTO signer VALUES (signer_, 0, timestamp_, 1);
            INSERT INTO seen VALUES (signer_, digest_, timestamp_, received_);
            seen_ := false;
            RETURN;
        END IF;
    END IF;
    SELECT floor INTO STRICT everybody FROM store;
    -- what was received in the window can't be dated earlier than twice as long ago
    SELECT timestamp INTO highest FROM seen
        WHERE jid = signer_ AND timestamp > received_ - 2 * recent AND received >= received_ - recent
        ORDER BY timestamp DESC LIMIT 1;
    IF timestamp_ <= greatest(known.floor, everybody)
        OR EXISTS (SELECT FROM seen WHERE jid = signer_ AND digest = digest_)
    THEN
        RETURN;
    END IF;
    IF known.newest <= ahead_from AND timestamp_ > ahead_from
        AND (SELECT count(*) FROM signer WHERE newest > ahead_from) >= max_signers / 2
    THEN
        ahead := true;
        RETURN;
    END IF;
    INSERT INTO seen VALUES (signer_, digest_, timestamp_, received_);
    IF known.entries >= max_entries THEN
        DELETE FROM seen WHERE (jid, digest) = (
            SELECT jid, digest FROM seen WHERE jid = signer_ ORDER BY timestamp, digest LIMIT 1
        ) RETURNING timestamp INTO STRICT dropped;
        known.floor := greatest(known.floor, dropped.timestamp);
    ELSE
        known.entries := known.entries + 1;
    END IF;
    UPDATE signer
        SET floor = known.floor, newest = greatest(newest, timestamp_), entries = known.entries
        WHERE jid = signer_;
    seen_ := false;
END
$$;
"""

_CERTIFICATES: Final = """
CREATE FUNCTION add_certificate(
    jid_ text, fingerprint_ bytea, chain_ bytea, issuer_and_serial_ bytea, key_identifier_ bytea, max_kept integer
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    is_new boolean;
BEGIN
    PERFORM pg_advisory_xact_lock('certificate'::regclass::integer, hashtext(jid_));
    INSERT INTO certificate (jid, fingerprint, chain, issuer_and_serial, key_identifier)
        VALUES (jid_, fingerprint_, chain_, issuer_and_serial_, key_identifier_)
        ON CONFLICT DO NOTHING;
    is_new := FOUND;
    DELETE FROM certificate WHERE jid = jid_ AND id NOT IN (
        SELECT id FROM certificate WHERE jid = jid_ ORDER BY id DESC LIMIT max_kept
    );
    RETURN is_new;
END
$$;
CREATE FUNCTION add_revocation_list(key_ bytea, list_ bytea, max_kept integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('revocation_list'::regclass::integer, 0);
    DELETE FROM revocation_list WHERE key = key_;
    INSERT INTO revocation_list (key, list) VALUES (key_, list_);
    DELETE FROM revocation_list WHERE id NOT IN (
        SELECT id FROM revocation_list ORDER BY id DESC LIMIT max_kept
    );
END
$$;
"""

_DECISIONS: Final = """
CREATE FUNCTION decide(jid_ text, fingerprint_ bytea, trust_ text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('decision'::regclass::integer, hashtext(jid_));
    IF trust_ IS NULL THEN
        DELETE FROM decision WHERE jid = jid_ AND fingerprint = fingerprint_;
    ELSE
        INSERT INTO decision VALUES (jid_, fingerprint_, trust_)
            ON CONFLICT (jid, fingerprint) DO UPDATE SET trust = trust_;
    END IF;
END
$$;
CREATE FUNCTION decide_first_use(jid_ text, fingerprint_ bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('decision'::regclass::integer, hashtext(jid_));
    IF EXISTS (
        SELECT FROM decision WHERE jid = jid_
            AND trust <> CASE WHEN fingerprint = fingerprint_ THEN 'tofu' ELSE 'distrusted' END
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO decision VALUES (jid_, fingerprint_, 'tofu') ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;
"""

#: The script that makes everything.
SCRIPT: Final = _TABLES + _ADMIT + _CERTIFICATES + _DECISIONS
#: Scripts, by the version that they lead away from.
MIGRATIONS: Final[dict[int, str]] = {
    1: "DROP FUNCTION admit(text, bytea, bigint, bigint, bigint, integer, integer);" + _ADMIT,
}

LOAD: Final = """
SELECT id, fingerprint, chain, announcement, NULL AS trust FROM certificate WHERE jid = $1
UNION ALL SELECT NULL, fingerprint, NULL, NULL, trust FROM decision WHERE jid = $1
ORDER BY id DESC
"""
#: Before revocation lists are counted: who else wants to, waits. Its `add_revocation_list` is for earlier versions.
LOCK_LISTS: Final = "SELECT pg_advisory_xact_lock('revocation_list'::regclass::integer, 0)"
FIND: Final = """
SELECT DISTINCT ON (fingerprint) chain FROM certificate
WHERE issuer_and_serial = $1 OR key_identifier = $1 ORDER BY fingerprint LIMIT $2
"""
