"""What has a run done so far? Counted row by row."""

from __future__ import annotations

from attrs import define

from .rows import BulkRow


@define
class Tally:
    """What a run has done so far; plain numbers, cheap to read at any time."""

    created: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0
    adopted: int = 0
    """Created, with the answer lost: found in the account's list."""
    resumed: int = 0
    """Rows that were settled before this run began."""
    under_way: int = 0
    settled: int = 0
    """Rows whose result is known, those of earlier runs included."""
    done: int = 0
    """Rows that have all this run was to make of them."""
    saved: int = 0
    """Videos that are on disk."""
    videos_failed: int = 0
    videos_unknown: int = 0
    videos_left: int = 0
    """Videos that the next run goes on with, of rows that this run is done with."""

    def avatar(self, row: BulkRow) -> None:
        """A row's avatar is there, or is known not to be."""
        self.adopted += (row.evidence or "").startswith("adopted")
        setattr(self, row.state, getattr(self, row.state) + 1)

    def row(self, row: BulkRow, *, with_video: bool) -> None:
        """A row is settled, with its video where the run makes videos."""
        self.settled += 1
        self.done += row.is_done if with_video else row.state == "created"
        if with_video and row.state == "created":
            self.saved += row.video_state == "saved"
            self.videos_failed += row.video_state == "failed"
            self.videos_unknown += row.video_state == "unknown"
            self.videos_left += row.video_state in ("running", "made", "skipped")
