"""The pages: upload, my submissions, one submission, models.

Views fetch; ``presentation`` puts into words; ``queue`` changes states.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from webapp.accounts import rates

from . import duplicates, listing, model_cards, presentation, queue, retention, wording
from .access import account_if_demanded
from .forms import FilterForm, SamplingForm
from .latest import with_analyses
from .models import Analysis, SamplingLevel, State
from .ownership import mine, mine_or_404
from .shown_faces import all_asked_for

PAGE_SIZE = 20


@require_safe
@account_if_demanded
@never_cache
def submission_list(request: HttpRequest) -> HttpResponse:
    """My submissions; asked by htmx, only the rows that were active a moment ago."""
    if request.htmx:  # type: ignore[attr-defined]
        return _active_rows(request)
    form = FilterForm(request.GET)
    found = with_analyses(form.narrow(mine(request)))
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    rows = listing.rows(page.object_list, among=mine(request))
    context = {
        "form": form,
        "page": page,
        "rows": rows,
        "active": listing.active_ids(rows),
        "here": request.get_full_path(),
    }
    return render(request, "submissions/list.html", context)


@require_safe
@account_if_demanded
@never_cache
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One submission: its chosen analysis live, or as a result."""
    context = _detail_context(request, pk)
    earlier = duplicates.earlier_results(mine(request), [context["submission"]])
    context["earlier"] = earlier.get(pk)
    return render(request, "submissions/detail.html", context)


@require_safe
@account_if_demanded
@never_cache
def status(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The live part of the page, for htmx; it becomes the result when there is one.

    ``?part=others`` is only what stands below a result: an earlier one stays as it is,
    player and all, while a new analysis of the same video runs.
    """
    try:
        if request.GET.get("part") == "others":
            context = _chosen(request, pk)
            context["ended"] = not context["busy"]
            return render(request, "submissions/_others.html", context)
        context = _detail_context(request, pk)
    except Http404:
        if request.htmx:  # type: ignore[attr-defined]
            # Deleted elsewhere, or logged out: without an answer the page would ask for ever.
            return HttpResponseClientRefresh()
        raise
    progress = context["progress"]
    context["fragment"] = True
    context["announce"] = progress is None or progress.seen != request.GET.get("seen")
    return render(request, "submissions/_status.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@account_if_demanded
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then delete the video, its analyses and their evidence."""
    submission = mine_or_404(request, pk)
    if request.method == "POST":
        queue.delete_submission(submission)
        messages.success(request, f"“{submission.original_name}” and its results were deleted.")
        return redirect("submissions:list")
    running = submission.analyses.filter(state=State.RUNNING).exists()
    return render(
        request, "submissions/delete.html", {"submission": submission, "running": running}
    )


@require_POST
@account_if_demanded
def rerun(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Enqueue another analysis; the earlier ones stay."""
    submission = mine_or_404(request, pk)
    form = SamplingForm(request.POST)
    if not form.is_valid():
        messages.error(request, "There is no such sampling level.")
        return redirect(submission)
    try:
        rates.take(rates.UPLOAD, rates.whose(request))
        queue.enqueue(submission, sampling=form.cleaned_data["sampling"])
    except queue.AlreadyActive:
        messages.info(request, "An analysis of this video is under way already.")
    except queue.FilesRemoved:
        messages.error(request, "The video is not here any more. Upload it once more.")
    except rates.TooMany as error:
        messages.error(request, error.sentence)
    return redirect(submission)


@require_POST
@account_if_demanded
def cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Cancel a waiting or running analysis, and return to where the button was."""
    analysis = get_object_or_404(
        Analysis.objects.select_related("submission").filter(submission__in=mine(request)), pk=pk
    )
    if not queue.cancel(analysis.pk):
        messages.info(request, "The analysis had ended before it could be canceled.")
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        return redirect(wanted)
    return redirect(analysis.submission)


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """The installed checkpoints: what was measured, on which data, and the limits."""
    return render(request, "submissions/models.html", {"cards": model_cards.installed()})


def _detail_context(request: HttpRequest, pk: uuid.UUID) -> dict[str, Any]:
    """The chosen analysis as its page shows it."""
    context = _chosen(request, pk)
    submission, analysis = context["submission"], context["analysis"]
    return {
        **context,
        "progress": presentation.progress(analysis) if analysis.is_active else None,
        "result": presentation.result(analysis, submission, all_asked_for(request))
        if analysis.state == State.SUCCEEDED
        else None,
        "remedy": wording.remedy(analysis.error_code),
        "playable": presentation.playable(submission),
        "files_due_at": retention.due_at(submission),
    }


def _chosen(request: HttpRequest, pk: uuid.UUID) -> dict[str, Any]:
    """A submission, its analyses, and the one that is asked for."""
    submission = mine_or_404(request, pk)
    analyses = list(submission.analyses.order_by("created_at", "id"))
    analysis = presentation.select(analyses, _wanted_analysis(request))
    if analysis is None:
        raise Http404("No such analysis.")
    return {
        "submission": submission,
        "analysis": analysis,
        "analyses": analyses,
        "busy": any(a.is_active for a in analyses),
        "sampling_levels": SamplingLevel.choices,
    }


def _wanted_analysis(request: HttpRequest) -> uuid.UUID | None:
    """``?analysis=<uuid>``; anything else than a UUID names no analysis."""
    given = request.GET.get("analysis")
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError:
        raise Http404("No such analysis.") from None


def _active_rows(request: HttpRequest) -> HttpResponse:
    """The rows the page says are active, as they are now, and the next question."""
    wanted = []
    for given in request.GET.get("active", "").split(",")[:PAGE_SIZE]:
        try:
            wanted.append(uuid.UUID(given))
        except ValueError:
            continue
    everything = mine(request)
    rows = listing.rows(with_analyses(everything.filter(pk__in=wanted)), among=everything)
    if wanted and not rows:
        # All deleted elsewhere, or logged out: the whole list is out of date.
        return HttpResponseClientRefresh()
    found = {row.submission.pk for row in rows}
    context = {
        "rows": rows,
        "gone": [pk for pk in wanted if pk not in found],
        "active": listing.active_ids(rows),
        "here": request.htmx.current_url_abs_path or "",  # type: ignore[attr-defined]
    }
    return render(request, "submissions/_active_rows.html", context)
