"""Can this whole input be carried out? Asked once, before anything is sent.

Rows are judged by `inputs.py`; here they are compared with each other and with the ledger, all
problems are collected, and what a run needs to know of the input is counted. `voices.py` asks the
server. Memory grows with the accounts and voices that are named, not with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from attrs import define, field, frozen

from ..aio import in_thread
from .budget import price_of
from .inputs import read_rows
from .machine import HELD, OPEN, State
from .problems import REMEDY, EqualProblems, InputError, InputProblem, Problems, StrPath
from .recipes import Recipe
from .records import Row, RowInput, StepInput
from .rows import WHOLE_ROW
from .seen import Seen
from .selection import Selection
from .stepinputs import files_in

BATCH_ROWS = 500
"""Rows that the ledger is asked about at once."""
MOST_CHARS = 200
"""Of a cell that is told."""
USES_KEPT = 10_000
"""Voices, and things that exist, of which it is remembered where they are named first."""
_VOICES = {"tts_speaker": "tts_emotion", "speaker_id": "emotion"}
"""Fields that name a voice -> the field of its emotion."""


class KnownRows(Protocol):
    """What a ledger knows of earlier runs; a `LedgerReader` is one."""

    async def known(self, keys: Sequence[str]) -> Mapping[str, Row]:
        """Those of `keys` that the ledger has."""
        ...

    async def step_counts(self) -> Mapping[tuple[int, State], int]:
        """How many steps of each number are in each state."""
        ...


@frozen
class VoiceUse:
    """A voice, and perhaps an emotion, that rows of one account ask for, and in which columns."""

    account: str | None
    speaker: str
    emotion: str | None
    column: str = "tts_speaker"
    emotion_column: str = "tts_emotion"


@frozen(kw_only=True)
class Checked:
    """What a run needs to know of an input that has no fault."""

    rows: int
    """Those that are carried out."""
    accounts: frozenset[str]
    """All that are named."""
    without_account: int
    """Rows that leave the account to the registry."""
    steps: Mapping[int, int]
    """Number of a step -> the rows that have it made."""
    uploads: Mapping[str, int] = field(factory=dict)
    """Column -> the rows whose file there has to be uploaded."""
    speakers: Mapping[VoiceUse, int | None] = field(factory=dict)
    """Each distinct use -> the first line it occurs on; at most `USES_KEPT`."""
    speakers_unkept: int = 0
    """Rows with a use beyond those, which only the server will judge."""
    given: Mapping[tuple[str | None, str], int | None] = field(factory=dict)
    """Each (account, id) that rows name as there already -> its first line; bounded alike."""
    all_rows: int
    """Rows of the file."""
    to_make: Mapping[int, int] = field(factory=dict)
    """Number of a step -> the rows of which it is still to be made; failed ones are not."""
    hundredths: int = 0
    """Of a credit: what the jobs to be made cost, as far as prices are known."""
    unpriced: Mapping[str, int] = field(factory=dict)
    """Operation -> its jobs to be made whose price nobody says."""
    faults: Sequence[EqualProblems] = ()
    """What is wrong with the rows that are left out."""
    fault_lines: Sequence[str] = ()
    """The same as people read it."""


async def check_input(
    path: StrPath,
    recipe: Recipe,
    *,
    known: KnownRows | None = None,
    on_row: Callable[[int], None] | None = None,
    on_fault: Callable[[InputProblem], None] | None = None,
    selection: Selection | None = None,
    keep_columns: bool = False,
    priced: int = 0,
) -> Checked:
    """What is in the input, if every row that is wanted of it can be sent.

    Rows are held to what the ledger has of them as far as something was made of them, or may have
    been. Others, and those that failed, may have been changed, taken away or put in.

    Args:
        path: the input file.
        recipe: of its rows, with all steps that they may ask for in any run.
        known: the ledger's rows; default: there is no ledger yet.
        on_row: told each row's position when it was looked at.
        on_fault: told every problem, however many there are.
        selection: which rows are wanted, and learns which are bad; default: all are.
        keep_columns: see `read_rows`.
        priced: so many of a row's steps get a price; default: none.

    Raises:
        InputError: with the first problems of all rows, in the order of the file, and their count;
            or no row is left.
        ConfigurationError: the temporary folder can't hold the list of keys.
        LedgerError: the ledger can't be read.
    """
    chosen = Selection() if selection is None else selection
    chosen.begin()
    problems, tally = _Problems(str(path), recipe, on_fault), _Tally(recipe, priced)
    rows, keys = read_rows(path, recipe, keep_columns=keep_columns), Seen()
    broken: InputError | None = None
    try:
        while broken is None:
            batch, broken = await in_thread(_batch, rows, keys)
            named = dict.fromkeys(name for row, _ in batch for name in _names(row))
            recorded = await known.known(list(named)) if known is not None and named else {}
            for row, first_line in batch:
                found = problems.of_row(row, first_line, _recorded(row, recorded))
                tally.all_rows += 1
                if chosen.wants(row):
                    problems.add(found)
                    if chosen.take(row, is_bad=bool(found)) and not found:
                        tally.add(row, _recorded(row, recorded))
                if on_row is not None:
                    on_row(row.position)
            if len(batch) < BATCH_ROWS:
                break
    finally:
        keys.close()
        rows.close()
    of_rows = problems.found.count
    if broken is not None:
        problems.join(broken)
    elif known is not None:
        problems.note_missing(await known.step_counts())
    stops = problems.found.count > (of_rows if chosen.skip_bad else 0)
    if stops or not (tally.rows or chosen.only):
        raise problems.error(tally, skipped=chosen.skip_bad)
    return tally.checked(problems.found)


_Batch = list[tuple[RowInput, "tuple[int | None] | None"]]


def _batch(rows: Iterator[RowInput], keys: Seen) -> tuple[_Batch, InputError | None]:
    """The next rows, each with the line its key was on before; what broke the file behind them."""
    batch: _Batch = []
    try:
        # Row by row: a list() around it would lose the rows before the fault.
        for row in islice(rows, BATCH_ROWS):
            batch.append((row, keys.first(row.key, row.line)))
    except InputError as exc:
        return batch, exc
    return batch, None


def _names(row: RowInput) -> tuple[str, ...]:
    return (row.key,) if row.former_key is None else (row.key, row.former_key)


def _recorded(row: RowInput, known: Mapping[str, Row]) -> Row | None:
    """What the ledger has of the row, by its key or the one it had before it asked for more."""
    if row.key in known or row.former_key is None:
        return known.get(row.key)
    former = known.get(row.former_key)
    return former if former is not None and len(former.steps) == 1 else None


@define
class _Problems:
    """What is wrong with the rows, and what the ledger's count is held against."""

    file: str
    recipe: Recipe
    told: Callable[[InputProblem], None] | None = None
    found: Problems = field(factory=Problems)
    held: int = 0
    all_read: bool = True

    def of_row(
        self, row: RowInput, first_line: tuple[int | None] | None, recorded: Row | None
    ) -> list[InputProblem]:
        """What is wrong with the row by itself, beside the others, and by the ledger."""
        found = [
            self._problem(row, None if name == WHOLE_ROW else name, text)
            for name, text in row.problems.items()
        ]
        if WHOLE_ROW in row.problems or "key" in row.problems:
            self.all_read = False
        if first_line is not None:
            text = f"{row.key!r} is already used on line {first_line[0]}; keys must differ"
            found.append(self._problem(row, "key", text))
        elif recorded is not None:
            self.held += recorded.steps[0].state in HELD
            if not row.problems:  # a row to be mended differs anyway
                found += self._differences(row, recorded)
        return found

    def _differences(self, row: RowInput, recorded: Row) -> Iterator[InputProblem]:
        """What was made of the row, or may have been, and is said otherwise now."""
        digests = {step.number: step.digest for step in row.steps}
        for step in recorded.steps:
            if step.state not in HELD or digests.get(step.number) == step.digest:
                continue
            text = (
                f"this row (key {row.key!r}) was different when the ledger recorded it; use "
                "another --ledger, or restore the row"
            )
            if step.number > 1:
                spec = self.recipe.step(step.number)
                text = (
                    f"the {spec.noun} of this row (key {row.key!r}) was different when it was "
                    f"sent; use another key or --ledger, or restore its {', '.join(spec.columns)}"
                )
            yield self._problem(row, None, text)
            return

    def note_missing(self, counts: Mapping[tuple[int, State], int]) -> None:
        """Rows that the ledger has and the input lacks: known only once every row was read."""
        missing = sum(counts.get((1, state), 0) for state in HELD) - self.held
        if self.all_read and missing > 0:
            rows = "1 row" if missing == 1 else f"{missing} rows"
            text = (
                f"the ledger has {rows} that this input lacks, so it belongs to another input "
                "(rows may be added and moved; those that something was made of must neither be "
                "changed nor taken away); put them back, or use another --ledger"
            )
            self.add([InputProblem(self.file, None, None, text)])

    def join(self, broken: InputError) -> None:
        """The problems of a file that could not be read to its end."""
        self.add(broken.problems)
        self.found.count += broken.more

    def add(self, problems: Iterable[InputProblem]) -> None:
        """They count."""
        for one in problems:
            self.found.add(one)
            if self.told is not None:
                self.told(one)

    def error(self, tally: _Tally, *, skipped: bool) -> InputError:
        """Why the input can't be used, and what can be done."""
        remedy = REMEDY
        if tally.rows and not skipped:
            remedy += (
                f" Without a fault are {tally.rows} of {tally.all_rows} rows: --skip-bad makes "
                "those, and --faults-to faults.csv lists all faults."
            )
        return self.found.error(remedy)

    def _problem(self, row: RowInput, column: str | None, text: str) -> InputProblem:
        key = row.columns.get("key")
        value = row.columns.get(column) if column is not None else None
        said = None if value is None else str(value)[:MOST_CHARS]
        return InputProblem(
            self.file, row.line, column, text, None if key is None else row.key, said
        )


@define
class _Tally:
    """A `Checked` in the making."""

    recipe: Recipe
    priced: int = 0
    rows: int = 0
    all_rows: int = 0
    to_make: dict[int, int] = field(factory=dict)
    hundredths: int = 0
    unpriced: dict[str, int] = field(factory=dict)
    accounts: set[str] = field(factory=set)
    without_account: int = 0
    steps: dict[int, int] = field(factory=dict)
    uploads: dict[str, int] = field(factory=dict)
    speakers: dict[VoiceUse, int | None] = field(factory=dict)
    speakers_unkept: int = 0
    given: dict[tuple[str | None, str], int | None] = field(factory=dict)

    def add(self, row: RowInput, recorded: Row | None) -> None:
        self.rows += 1
        named = row.steps[0].payload.get("email")
        account = None if named is None else str(named)
        if account is None:
            self.without_account += 1
        else:
            self.accounts.add(account)
        heard = set[tuple[str, str | None]]()
        for step in row.steps:
            if step.given_id is not None:
                if len(self.given) < USES_KEPT:
                    self.given.setdefault((account, step.given_id), row.line)
                continue
            self.steps[step.number] = self.steps.get(step.number, 0) + 1
            self._add_price(step, recorded)
            self._add_files(step)
            self._add_voice(step, account, heard, row.line)

    def _add_price(self, step: StepInput, recorded: Row | None) -> None:
        steps = () if recorded is None else recorded.steps
        known = next((one for one in steps if one.number == step.number), None)
        # One that failed before it was sent is looked at again, and one that was mended is made.
        open_again = known is None or known.digest != step.digest or not known.attempts
        if known is not None and known.state not in (*OPEN, *(("failed",) if open_again else ())):
            return
        self.to_make[step.number] = self.to_make.get(step.number, 0) + 1
        spec = self.recipe.step(step.number)
        if step.number > self.priced or not spec.request.starts_task:
            return
        price = price_of(spec, step.payload)
        if price is None:
            self.unpriced[spec.operation] = self.unpriced.get(spec.operation, 0) + 1
        else:
            self.hundredths += price

    def _add_files(self, step: StepInput) -> None:
        spec = self.recipe.step(step.number)
        for name, _ in files_in(spec, step.payload):
            column = spec.column_of(name.partition(".")[0])
            self.uploads[column] = self.uploads.get(column, 0) + 1

    def _add_voice(
        self,
        step: StepInput,
        account: str | None,
        heard: set[tuple[str, str | None]],
        line: int | None,
    ) -> None:
        spec = self.recipe.step(step.number)
        for name, of_emotion in _VOICES.items():
            speaker, emotion = step.payload.get(name), step.payload.get(of_emotion)
            voice = (str(speaker), None if emotion is None else str(emotion))
            if speaker is None or voice in heard:  # by an earlier step of this row
                continue
            heard.add(voice)
            columns = spec.column_of(name), spec.column_of(of_emotion)
            use = VoiceUse(account, *voice, *columns)
            if use in self.speakers:
                continue
            if len(self.speakers) < USES_KEPT:
                self.speakers[use] = line
            else:
                self.speakers_unkept += 1

    def checked(self, problems: Problems) -> Checked:
        return Checked(
            rows=self.rows,
            all_rows=self.all_rows,
            to_make=self.to_make,
            hundredths=self.hundredths,
            unpriced=self.unpriced,
            faults=tuple(problems.groups),
            fault_lines=tuple(problems.lines()),
            accounts=frozenset(self.accounts),
            without_account=self.without_account,
            steps=self.steps,
            uploads=self.uploads,
            speakers=self.speakers,
            speakers_unkept=self.speakers_unkept,
            given=self.given,
        )
