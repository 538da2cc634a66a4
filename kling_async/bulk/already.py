"""Do rows of an input look as if they were made already? Asked by a dry run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from ..models.evidence import look_alikes
from ..models.sightings import Sent, Sighting
from .preflight import KnownRows
from .recipes import Recipe
from .records import RowInput, StepInput
from .values import OF_BYTES


async def looks_made(
    chunks: AsyncIterator[Sequence[RowInput]],
    recipe: Recipe,
    seen: Sequence[Sighting],
    known: KnownRows | None = None,
) -> dict[str, str]:
    """Row -> the id of a thing with the same picture address and texts.

    Args:
        chunks: the rows.
        recipe: of each.
        seen: what is listed.
        known: the ledger's rows: what was sent is none that looks alike.
    """
    there = {path for sighting in seen for path in sighting.paths}
    found: dict[str, str] = {}
    async for rows in chunks:
        near = {row.key: row.steps[0] for row in rows if there.intersection(row.steps[0].paths)}
        if not near:
            continue
        sent = {key: _sent(recipe, step) for key, step in near.items()}
        recorded = {} if known is None else await known.known(list(near))
        begun = {key for key, row in recorded.items() if row.steps[0].attempts}
        wanted: Mapping[str, Sent] = {k: s for k, s in sent.items() if s and k not in begun}
        found |= {key: like[0].id for key, like in look_alikes(wanted, seen, frozenset()).items()}
    return found


def _sent(recipe: Recipe, step: StepInput) -> Sent | None:
    spec = recipe.step(step.number)
    evidence = spec.request.evidence
    if evidence is None or step.problem is not None or OF_BYTES in str(step.payload):
        return None
    request = step.request or spec.request(**spec.typed(step.payload))
    return evidence.sent(request, account=None)
