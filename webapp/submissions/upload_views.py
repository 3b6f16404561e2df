"""The upload page and its plain form of several files.

The page's script does not send the form; it uploads through the API, in pieces. Without it
the form is sent as a whole, and what was refused is shown beside what was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from webapp.accounts import rates

from . import presentation
from .access import account_if_demanded
from .forms import SamplingForm
from .models import Submission
from .ownership import uploader, visitor_id
from .uploads import (
    ALLOWED_EXTENSIONS,
    FIELD,
    UploadRejected,
    cap_uploads,
    check_number,
    clean_name,
    receive,
)

Answer = TypeVar("Answer", bound=HttpResponse)

_NOTHING_CHOSEN = UploadRejected("no_file", "Choose at least one video first.")


@dataclass(frozen=True)
class Refusal:
    """A file that was not taken, and why."""

    name: str
    error: UploadRejected | rates.TooMany


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponseBase:
    """Cap what the request may write, then go on with the CSRF check.

    The check reads the form, and with it the files, so the cap has to come first.
    """
    spent = _nothing_left(request) if request.method == "POST" else None
    cap_uploads(request, 0 if spent else settings.FRAMEVOTE_MAX_FILES_PER_UPLOAD)
    return _upload(request, spent)


@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
@account_if_demanded
def _upload(request: HttpRequest, spent: rates.TooMany | None) -> HttpResponse:
    if request.method != "POST":
        if request.method == "GET" and not request.user.is_authenticated:
            visitor_id(request, create=True)
        return _render(request)
    try:
        owner = uploader(request)
    except UploadRejected as error:
        # Not on the form of this answer: a log-in has exchanged its CSRF key too.
        messages.error(request, error.sentence)
        return redirect("submissions:upload")
    taken, refused = _receive_all(request, owner, spent)
    if not taken:
        return _with_reason(_render(request, refused), refused)
    if not refused and len(taken) == 1:
        return redirect(taken[0])
    for submission in taken:
        messages.success(
            request,
            format_html(
                '<a href="{}">{}</a> was uploaded.',
                submission.get_absolute_url(),
                submission.original_name,
            ),
        )
    for refusal in refused:
        messages.error(
            request,
            format_html("<strong>{}</strong> was refused. {}", refusal.name, refusal.error),
        )
    return redirect("submissions:list")


def _receive_all(
    request: HttpRequest, owner: dict[str, Any], spent: rates.TooMany | None
) -> tuple[Sequence[Submission], Sequence[Refusal]]:
    """Every file on its own: a bad one does not take a good one with it."""
    files = request.FILES.getlist(FIELD)
    if spent:
        return [], [Refusal("", spent)]
    if not files:
        return [], [Refusal("", _NOTHING_CHOSEN)]
    try:
        check_number(len(files))
        sampling = _sampling(request)
    except UploadRejected as error:
        return [], [Refusal("", error)]
    taken: list[Submission] = []
    refused: list[Refusal] = []
    for file in files:
        try:
            rates.take(rates.UPLOAD, rates.whose(request))
            taken.append(receive(file, sampling=sampling, **owner))
        except (UploadRejected, rates.TooMany) as error:
            refused.append(Refusal(clean_name(file.name or ""), error))
    return taken, refused


def _nothing_left(request: HttpRequest) -> rates.TooMany | None:
    """Why nothing more is taken from this person for now, if so."""
    try:
        rates.check(rates.UPLOAD, rates.whose(request))
    except rates.TooMany as error:
        return error
    return None


def _sampling(request: HttpRequest) -> str:
    form = SamplingForm(request.POST)
    if not form.is_valid():
        raise UploadRejected("unknown_sampling", "There is no such sampling level.")
    return str(form.cleaned_data["sampling"])


def _with_reason(answer: Answer, refused: Sequence[Refusal]) -> Answer:
    """The answer with the status of an upload of which nothing was taken."""
    answer.status_code = 400
    for refusal in refused:
        if refusal.error.code == "disk_full":
            answer.status_code = 507
        if isinstance(refusal.error, rates.TooMany):
            answer.status_code = 429
            answer["Retry-After"] = str(refusal.error.retry_after_s)
    return answer


def _render(request: HttpRequest, refused: Sequence[Refusal] = ()) -> HttpResponse:
    context = {
        "refused": refused,
        "limits": presentation.limits(),
        "extensions": ALLOWED_EXTENSIONS,
        "accept": ",".join(ALLOWED_EXTENSIONS),
        "formats": [extension[1:].upper() for extension in ALLOWED_EXTENSIONS],
        "sampling_levels": presentation.sampling_levels(),
        "sampling": request.POST.get("sampling") or settings.FRAMEVOTE_SAMPLING,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "session_days": settings.SESSION_COOKIE_AGE // 86400,
    }
    return render(request, "submissions/upload.html", context)
