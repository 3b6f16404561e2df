"""The same file once more: the newest result that its owner has of an earlier upload of it.

Nothing is refused and nothing is saved by it: the upload has an analysis of its own, and the
earlier result is offered beside it. Asked when it is shown and not kept in a row, so what was
deleted is offered no more, and what a visitor uploaded counts after the log-in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter
from uuid import UUID

from .latest import newest_analysis_is
from .models import State, Submission, SubmissionQuerySet


def earlier_results(
    among: SubmissionQuerySet, submissions: Iterable[Submission]
) -> dict[UUID, Submission]:
    """For each of the submissions the newest earlier one of the same bytes with a result.

    One query. ``among`` is what the person may see, for nobody learns what others have.
    """
    page = list(submissions)
    if not page:
        return {}
    same = newest_analysis_is(
        among.filter(sha256__in={submission.sha256 for submission in page}),
        state=State.SUCCEEDED,
    )
    found: dict[str, list[Submission]] = defaultdict(list)
    # Sorted here: asked for an order, SQLite walks over all that one has, as they are in order.
    unsorted = same.only("sha256", "created_at").order_by()
    for submission in sorted(unsorted, key=attrgetter("created_at"), reverse=True):
        found[submission.sha256].append(submission)
    newest = {
        later.pk: next((s for s in found[later.sha256] if s.created_at < later.created_at), None)
        for later in page
    }
    return {pk: earlier for pk, earlier in newest.items() if earlier is not None}
