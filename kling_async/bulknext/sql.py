"""Which statements does a ledger need? Named, and in words that SQLite and PostgreSQL both take.

Parameters are written `:name`, times are handed in, nothing is asked of `lastrowid` or `RETURNING`.
What differs between the databases (types, opening, locks, transactions) stays in their own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from .machine import OPEN, PAID, STATES, Event, State, only_target, sources
from .records import ABANDONED, ANSWER, GIVEN, RECOVERED, REOPENED

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
    PRIMARY KEY (account, kind, remote_id)
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
KEEP_FACT = "INSERT INTO facts (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"
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
ROW_COLUMNS = "UPDATE rows SET columns = :columns WHERE id = :id"
INSERT_STEP = (
    "INSERT INTO steps (row_id, number, operation, kind, digest, payload, state, remote_id, "
    "evidence, error, changed_at) VALUES (:row_id, :number, :operation, :kind, :digest, "
    ":payload, :state, :remote_id, :evidence, :error, :now)"
)
_AS_NEW = (
    "addresses = NULL, own = NULL, mark = NULL, intent_at = NULL, sent_since = NULL, "
    "deadline_at = NULL, attempt = NULL, candidates = NULL"
)
REPLACE_STEP = (
    "UPDATE steps SET operation = :operation, kind = :kind, digest = :digest, "
    "payload = :payload, state = :state, remote_id = :remote_id, evidence = :evidence, "
    f"error = :error, account = NULL, {_AS_NEW}, changed_at = :now WHERE id = :id"
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
_FIRST_OPEN = (
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
            f"AND state <> 'done' AND {_FIRST_OPEN})"
        )
    if "done" in states:
        parts.append(_ALL_DONE)
    return f"{ROWS} WHERE ({' OR '.join(parts)}) AND {_AFTER}"


COUNTS_OPEN = (
    f"SELECT state, count(*) FROM steps WHERE state <> 'done' AND {_FIRST_OPEN} GROUP BY state"
)
COUNT_ROWS = "SELECT count(*) FROM rows"
STEP_COUNTS = "SELECT number, state, count(*) FROM steps GROUP BY number, state"
ACCOUNTS = "SELECT DISTINCT account FROM steps WHERE account IS NOT NULL AND account <> ''"

# --- an arrow ---

_ALWAYS: Mapping[Event, str] = {
    "prepared": "error = NULL",
    "intended": (
        "attempts = attempts + 1, intent_at = :now, attempt = :attempt, evidence = NULL, "
        "error = NULL"
    ),
    # It certainly was not sent: only an earlier sending, if any, may have done something.
    "retracted": "intent_at = sent_since",
    "answered": "remote_id = :claim, error = NULL, candidates = NULL",
    "found": "remote_id = :claim, error = NULL, candidates = NULL",
    "resent": "sent_since = coalesce(sent_since, intent_at), candidates = NULL, evidence = NULL",
    "finished": "error = NULL",
    "saved": "error = NULL",
}
"""Event -> what it writes by itself."""
_DEFAULTS: Mapping[Event, Mapping[str, str | None]] = {
    "answered": {"evidence": ANSWER},
    "retracted": {"error": None},
    "resent": {"error": None},
    "failed": {"evidence": None},
    "abandoned": {"error": "abandoned by the user; what it made may exist"},
}
"""Event -> values that are written even where they are not given."""
_ELSEWHERE = frozenset({"tokens", "works", "work", "file", "name_key", "size_bytes"})
"""Values that belong to other tables."""


def written_values(event: Event, values: Mapping[str, object]) -> Mapping[str, object]:
    """What an event writes into the step's own columns: what was given, and its defaults."""
    defaults = _DEFAULTS.get(event)
    given = {name: value for name, value in values.items() if name not in _ELSEWHERE}
    return given if defaults is None else {**defaults, **given}


def may_start_from(event: Event, to: State | None, evidence: object) -> tuple[State, ...]:
    """The states from which this event may go; empty: the state machine has no such arrow."""
    if event == "put_off":
        return () if to is not None else (*OPEN, *PAID)
    end = to if to is not None else only_target(event)
    if end is None:
        return ()
    starts = sources(event, end)
    if event == "found" and evidence != RECOVERED:  # never sent: only in an old copy of a ledger
        starts = tuple(state for state in starts if state not in OPEN)
    return starts


@cache
def arrow(
    event: Event, to: State | None, starts: tuple[State, ...], names: tuple[str, ...], exact: bool
) -> str:
    """The compare-and-set of an event: changes one step, or none where it is elsewhere.

    Args:
        event: what happened.
        to: where it leads; None: the only state it leads to.
        starts: the states it may start from.
        names: the columns that are given.
        exact: whether the step's content must have the digest `:digest`.
    """
    end = to if to is not None else only_target(event)
    assignments = [] if event == "put_off" else [f"state = '{end}'"]
    assignments.append("changed_at = :now")
    if (always := _ALWAYS.get(event)) is not None:
        assignments.append(always)
    if event == "abandoned":
        assignments.append(f"evidence = '{ABANDONED}'")
    if event == "reopened":
        assignments.append(_REOPENED_AS[end or "planned"])
    assignments += [f"{name} = :{name}" for name in names]
    return f"UPDATE steps SET {', '.join(assignments)} WHERE {_is_at(starts, exact)}"


_REOPENED_AS: Mapping[State, str] = {
    "planned": f"error = NULL, evidence = '{REOPENED}', remote_id = NULL, {_AS_NEW}",
    "running": f"error = NULL, evidence = '{REOPENED}'",
    "made": f"error = NULL, evidence = '{REOPENED}'",
}


def _is_at(starts: tuple[State, ...], exact: bool) -> str:
    among = f"state = '{starts[0]}'" if len(starts) == 1 else f"state IN ({quoted(starts)})"
    return f"id = :step_id AND {among}" + (" AND digest = :digest" if exact else "")


@cache
def claim(starts: tuple[State, ...], exact: bool) -> str:
    """Make the remote id `:claim` the step's own, where the step is as the arrow asks."""
    return (
        "INSERT INTO claims (account, kind, remote_id, step_id) "
        "SELECT coalesce(:account, account, ''), kind, :claim, id FROM steps "
        f"WHERE {_is_at(starts, exact)} ON CONFLICT DO NOTHING"
    )


CLAIM_OWNER = (
    "SELECT claims.step_id FROM steps JOIN claims ON claims.kind = steps.kind "
    "AND claims.account = coalesce(:account, steps.account, '') AND claims.remote_id = :claim "
    "WHERE steps.id = :step_id"
)
NAME_OWNER = "SELECT step_id, number FROM works WHERE name_key = :name_key"
KEEP_WORK = (
    "INSERT INTO works (step_id, number, work_id, url, content_type, file, size_bytes) "
    "VALUES (:step_id, :number, :work_id, :url, :content_type, :file, :size_bytes) "
    "ON CONFLICT (step_id, number) DO UPDATE SET work_id = excluded.work_id, "
    "url = excluded.url, content_type = excluded.content_type"
)
RESERVE = (
    "UPDATE works SET file = :file, name_key = :name_key, size_bytes = NULL "
    "WHERE step_id = :step_id AND number = :work"
)
SAVED = (
    "UPDATE works SET file = coalesce(:file, file), size_bytes = :size_bytes "
    "WHERE step_id = :step_id AND number = :work"
)
FILE_LOST = (
    "UPDATE works SET size_bytes = NULL "
    "WHERE step_id = :step_id AND number = coalesce(:work, number)"
)
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
    "SELECT remote_id, step_id FROM claims "
    "WHERE account = :account AND kind = :kind AND remote_id IN (%s)"
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

_TO_REOPEN = (
    f"((state = 'failed' AND coalesce(evidence, '') <> '{ABANDONED}') OR "
    f"(state IN ('planned', 'ready', 'made', 'running') AND coalesce(evidence, '') = '{REOPENED}'))"
)


@cache
def to_reopen(numbers: frozenset[int], *, count: bool) -> str:
    """The rows whose first open step is to be tried again; or how many they are."""
    among = f" AND number IN ({', '.join(map(str, sorted(numbers)))})" if numbers else ""
    of = f"FROM steps WHERE {_TO_REOPEN}{among} AND {_FIRST_OPEN}"
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
    f"{_AS_NEW}, changed_at = :now WHERE id = :id"
)
