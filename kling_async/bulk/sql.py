"""Which statements does a ledger need? Named, and in words that SQLite and PostgreSQL both take.

Parameters are written `:name`, times are handed in, nothing is asked of `lastrowid` or `RETURNING`.
What differs between the databases (types, opening, locks, transactions) stays in their own files.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from .machine import OPEN, PAID, STATES, State
from .records import ABANDONED, GIVEN, REOPENED

LAYOUT = "3"


def quoted(words: Iterable[str]) -> str:
    """Words of our own as a list in SQL; never what a user wrote."""
    return ", ".join(f"'{word}'" for word in sorted(words))


TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL){keyed};
CREATE TABLE rows (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,
    position INTEGER NOT NULL,
    columns  TEXT NOT NULL,
    run      INTEGER NOT NULL -- the last run whose input had it
);
CREATE INDEX rows_in_order ON rows (position, id);
CREATE TABLE steps (
    id          INTEGER PRIMARY KEY,
    row_id      INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    operation   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    payload     TEXT NOT NULL,
    state       TEXT NOT NULL,
    account     TEXT,
    addresses   TEXT,             -- field -> the address made for it
    own         TEXT,             -- fields whose address was made for this step alone
    mark        TEXT UNIQUE,
    attempts    INTEGER NOT NULL DEFAULT 0,
    intent_at   DOUBLE PRECISION, -- of the last sending of this content
    sent_since  DOUBLE PRECISION, -- of the first one, where it was sent again
    deadline_at DOUBLE PRECISION,
    owner       TEXT,
    attempt     TEXT,
    lease_until DOUBLE PRECISION,
    remote_id   TEXT,
    evidence    TEXT,
    candidates  TEXT,
    error       TEXT,
    queued      TEXT,             -- the account on which it waits for its turn
    turn        INTEGER,
    changed_at  DOUBLE PRECISION NOT NULL,
    UNIQUE (row_id, number)
);
CREATE INDEX steps_by_state ON steps (state, row_id) WHERE state <> 'done';
CREATE INDEX steps_sent_again ON steps (id) WHERE sent_since IS NOT NULL;
CREATE INDEX steps_queued ON steps (queued, turn) WHERE queued IS NOT NULL;
CREATE TABLE tokens (
    path TEXT NOT NULL, step_id INTEGER NOT NULL, own INTEGER NOT NULL,
    PRIMARY KEY (path, step_id)
){keyed};
CREATE INDEX tokens_of_step ON tokens (step_id);
CREATE TABLE works (
    step_id      INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    work_id      TEXT,
    url          TEXT,
    content_type TEXT,
    file         TEXT,
    name_key     TEXT UNIQUE,
    size_bytes   BIGINT,
    PRIMARY KEY (step_id, number)
){keyed};
-- One thing belongs to one step, for ever, also when the step begins another.
CREATE TABLE claims (
    account TEXT NOT NULL, kind TEXT NOT NULL, remote_id TEXT NOT NULL, step_id INTEGER NOT NULL,
    PRIMARY KEY (remote_id, kind, account)
){keyed};
-- What each account listed before the first create of this ledger.
CREATE TABLE listed_before (
    account TEXT NOT NULL, kind TEXT NOT NULL, remote_id TEXT NOT NULL,
    shown TEXT NOT NULL, made_at DOUBLE PRECISION,
    PRIMARY KEY (account, kind, remote_id)
){keyed};
CREATE TABLE listed_paths (
    account TEXT NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, remote_id TEXT NOT NULL,
    PRIMARY KEY (account, kind, path, remote_id)
){keyed};
CREATE TABLE history (
    id INTEGER PRIMARY KEY, step_id INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL,
    event TEXT NOT NULL, text TEXT
);
CREATE INDEX history_of_step ON history (step_id, id)
"""
"""Layout 3. `{keyed}` stands where a table is kept by its key, which SQLite wants to be told."""

# --- facts ---

FACT = "SELECT value FROM facts WHERE name = :name"
SET_FACT = (
    "INSERT INTO facts (name, value) VALUES (:name, :value) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
DROP_FACT = "DELETE FROM facts WHERE name = :name"

# --- rows and steps ---

STEP_COLUMNS = (
    *("id", "row_id", "number", "operation", "kind", "digest", "payload", "state", "account"),
    *("addresses", "own", "mark", "attempts", "intent_at", "sent_since", "deadline_at", "owner"),
    *("attempt", "remote_id", "evidence", "candidates", "error", "changed_at"),
)
"""What a `Step` is read from; after them comes the row's key."""
STEPS = (
    f"SELECT {', '.join(f'steps.{name}' for name in STEP_COLUMNS)}, rows.key "
    "FROM steps JOIN rows ON rows.id = steps.row_id"
)
STEP = f"{STEPS} WHERE steps.id = :id"
STEPS_OF_ROWS = f"{STEPS} WHERE steps.row_id IN (%s) ORDER BY steps.row_id, steps.number"
WORKS_OF_STEPS = (
    "SELECT step_id, number, work_id, url, content_type, file, size_bytes FROM works "
    "WHERE step_id IN (%s) ORDER BY step_id, number"
)
ROWS = "SELECT id, key, position, columns, run FROM rows"
ROWS_OF_KEYS = f"{ROWS} WHERE key IN (%s)"
ROW_OF_ID = f"{ROWS} WHERE id = :id"

INSERT_ROW = (
    "INSERT INTO rows (key, position, columns, run) VALUES (:key, :position, :columns, :run)"
)
ROW_SEEN = "UPDATE rows SET position = :position, run = :run WHERE id = :id"
RENAME_ROW = "UPDATE rows SET key = :key WHERE id = :id"
ROW_COLUMNS = "UPDATE rows SET columns = :columns WHERE id = :id"
INSERT_STEP = (
    "INSERT INTO steps (row_id, number, operation, kind, digest, payload, state, remote_id, "
    "evidence, error, changed_at) VALUES (:row_id, :number, :operation, :kind, :digest, "
    ":payload, :state, :remote_id, :evidence, :error, :now)"
)
AS_NEW = (
    "addresses = NULL, own = NULL, mark = NULL, intent_at = NULL, sent_since = NULL, "
    "deadline_at = NULL, attempt = NULL, candidates = NULL"
)
REPLACE_STEP = (
    "UPDATE steps SET operation = :operation, kind = :kind, digest = :digest, "
    "payload = :payload, state = :state, remote_id = :remote_id, evidence = :evidence, "
    f"error = :error, account = NULL, {AS_NEW}, changed_at = :now WHERE id = :id"
)
DROP_STEP = "DELETE FROM steps WHERE id = :id"
DROP_WORKS = "DELETE FROM works WHERE step_id = :id"
DROP_TOKENS = "DELETE FROM tokens WHERE step_id = :id"
DROP_OWN_TOKENS = "DELETE FROM tokens WHERE step_id = :id AND own = 1"
KEEP_TOKEN = (
    "INSERT INTO tokens (path, step_id, own) VALUES (:path, :step_id, :own) "
    "ON CONFLICT (path, step_id) DO UPDATE SET own = excluded.own"
)

# The state of a row is that of its first step which is not done.
FIRST_OPEN = (
    "NOT EXISTS (SELECT 1 FROM steps AS earlier WHERE earlier.row_id = steps.row_id "
    "AND earlier.number < steps.number AND earlier.state <> 'done')"
)
_ALL_DONE = (
    "NOT EXISTS (SELECT 1 FROM steps WHERE steps.row_id = rows.id AND steps.state <> 'done')"
)
_AFTER = (
    "(rows.position > :position OR (rows.position = :position AND rows.id > :id)) "
    "ORDER BY rows.position, rows.id LIMIT :size"
)


@cache
def rows_page(states: frozenset[State]) -> str:
    """A page of the rows in one of these states, in the input's order; empty: of all."""
    if not states or states >= frozenset(STATES):
        return f"{ROWS} WHERE {_AFTER}"
    parts = []
    if unfinished := states - {"done"}:
        parts.append(
            f"rows.id IN (SELECT row_id FROM steps WHERE state IN ({quoted(unfinished)}) "
            f"AND state <> 'done' AND {FIRST_OPEN})"
        )
    if "done" in states:
        parts.append(_ALL_DONE)
    return f"{ROWS} WHERE ({' OR '.join(parts)}) AND {_AFTER}"


COUNTS_OPEN = (
    f"SELECT state, count(*) FROM steps WHERE state <> 'done' AND {FIRST_OPEN} GROUP BY state"
)
COUNT_ROWS = "SELECT count(*) FROM rows"
STEP_COUNTS = "SELECT number, state, count(*) FROM steps GROUP BY number, state"
ACCOUNTS = "SELECT DISTINCT account FROM steps WHERE account IS NOT NULL AND account <> ''"

# --- history ---

NOTE = "INSERT INTO history (step_id, at, event, text) VALUES (:step_id, :now, :event, :text)"
HISTORY = (
    "SELECT history.step_id, history.at, history.event, history.text FROM history "
    "JOIN steps ON steps.id = history.step_id WHERE steps.row_id = :row_id ORDER BY history.id"
)

# --- the queue ---

QUEUE = (
    "UPDATE steps SET queued = :queued, account = coalesce(account, :account), "
    f"turn = :turn + CASE WHEN state IN ({quoted(PAID)}) THEN 0 ELSE {10**12} END "
    "WHERE id = :step_id"
)
NEXT_STEP = "SELECT id FROM steps WHERE queued = :queued ORDER BY turn LIMIT 1"
OUT_OF_QUEUE = "UPDATE steps SET queued = NULL, turn = NULL WHERE id = :id"
EMPTY_QUEUE = "UPDATE steps SET queued = NULL, turn = NULL WHERE queued IS NOT NULL"

# --- at the start of a run ---

INTENTS = "SELECT id FROM steps WHERE state = 'intent'"
INTENTS_TO_DOUBT = (
    "UPDATE steps SET state = 'doubt', error = :error, changed_at = :now WHERE state = 'intent'"
)

# --- what is asked for doubts ---

# A step without an account may belong to any; an empty `:account` asks for all.
_ON_ACCOUNT = "(:account = '' OR coalesce(steps.account, '') IN ('', :account))"
UNSETTLED = (
    f"{STEPS} WHERE steps.state IN (%s) AND steps.kind = :kind AND {_ON_ACCOUNT} ORDER BY steps.id"
)
SENT = (
    f"{STEPS} WHERE steps.id IN ("
    "SELECT id FROM steps WHERE state IN ('intent', 'doubt', 'unknown') "
    f"UNION SELECT id FROM steps WHERE state = 'failed' AND evidence = '{ABANDONED}' "
    "UNION SELECT id FROM steps WHERE sent_since IS NOT NULL) "
    f"AND steps.kind = :kind AND {_ON_ACCOUNT} ORDER BY steps.id"
)
USES = (
    f"{STEPS} WHERE steps.id IN (SELECT step_id FROM tokens WHERE path IN (%s)) "
    f"AND steps.kind = :kind AND {_ON_ACCOUNT} ORDER BY steps.id"
)
OWNERS = (
    "SELECT remote_id, step_id FROM claims WHERE remote_id IN (%s) AND kind = :kind "
    "AND (account IN ('', :account) OR :account = '')"
)

# --- what was there before ---

KEEP_LISTED = (
    "INSERT INTO listed_before (account, kind, remote_id, shown, made_at) "
    "VALUES (:account, :kind, :remote_id, :shown, :made_at) ON CONFLICT DO NOTHING"
)
KEEP_LISTED_PATH = (
    "INSERT INTO listed_paths (account, kind, path, remote_id) "
    "VALUES (:account, :kind, :path, :remote_id) ON CONFLICT DO NOTHING"
)
LISTED_BEFORE = (
    "SELECT remote_id FROM listed_before "
    "WHERE account = :account AND kind = :kind AND remote_id IN (%s)"
)
LISTED = (
    "SELECT remote_id, shown, made_at FROM listed_before "
    "WHERE account = :account AND kind = :kind AND remote_id IN (%s) ORDER BY remote_id"
)
PATHS_OF_LISTED = (
    "SELECT remote_id, path FROM listed_paths "
    "WHERE account = :account AND kind = :kind AND remote_id IN (%s) ORDER BY path"
)
LISTED_WITH_PATHS = (
    "SELECT DISTINCT remote_id FROM listed_paths "
    "WHERE account = :account AND kind = :kind AND path IN (%s)"
)
_ALIKE = (
    "FROM steps JOIN tokens ON tokens.step_id = steps.id "
    "JOIN listed_paths ON listed_paths.path = tokens.path AND listed_paths.kind = steps.kind "
    "WHERE listed_paths.account = :account AND steps.kind = :kind"
)
NEVER_SENT_ALIKE = (
    f"SELECT DISTINCT steps.id {_ALIKE} AND steps.state IN ({quoted(OPEN)}) "
    f"AND steps.intent_at IS NULL AND {_ON_ACCOUNT} AND steps.id > :after "
    "ORDER BY steps.id LIMIT :size"
)
ALIKE_OF_STEPS = (
    f"SELECT DISTINCT steps.id, listed_paths.remote_id {_ALIKE} AND steps.id IN (%s) "
    "ORDER BY steps.id, listed_paths.remote_id"
)

# --- trying again ---

# What was no row at all has no operation: nothing of it can be tried.
_TO_REOPEN = (
    f"operation <> '' AND ((state = 'failed' AND coalesce(evidence, '') <> '{ABANDONED}') OR "
    f"(state IN ('planned', 'ready', 'made', 'running') AND coalesce(evidence, '') = '{REOPENED}'))"
)


@cache
def to_reopen(numbers: frozenset[int], *, count: bool) -> str:
    """The rows whose first open step is to be tried again; or how many they are."""
    among = f" AND number IN ({', '.join(map(str, sorted(numbers)))})" if numbers else ""
    of = f"FROM steps WHERE {_TO_REOPEN}{among} AND {FIRST_OPEN}"
    if count:
        return f"SELECT count(*) {of}"
    return f"SELECT id, row_id {of} AND row_id > :after ORDER BY row_id LIMIT :size"


# --- a server that has forgotten ---

TO_FORGET = (
    f"SELECT id FROM steps WHERE state <> 'failed' AND coalesce(evidence, '') <> '{GIVEN}' "
    "AND EXISTS (SELECT 1 FROM steps AS other WHERE other.row_id = steps.row_id "
    "AND other.state <> 'done')"
)
FORGET = (
    "UPDATE steps SET state = 'planned', remote_id = NULL, evidence = NULL, error = NULL, "
    f"{AS_NEW}, changed_at = :now WHERE id = :id"
)
