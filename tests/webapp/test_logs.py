"""What the log says: ids on every line, JSON for machines, no second line from outside."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import uuid
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import get_resolver, path

from tests.webapp.evidence import a_video
from webapp import logs
from webapp.error_pages import server_error
from webapp.request_log import RequestLogMiddleware
from webapp.submissions.models import Analysis

SECRETS = ["a-long-secret", "p@ss/word & more", 'with "quotes" in it', "short"]


class Log:
    """The project's own configuration, written into memory."""

    def __init__(self, form: str, level: str = "INFO") -> None:
        self.stream = io.StringIO()
        config = logs.configuration(form, level, SECRETS)
        config["handlers"]["stderr"]["stream"] = self.stream
        logging.config.dictConfig(config)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def objects(self, **wanted: Any) -> list[dict[str, Any]]:
        """The JSON lines with these values."""
        found = [json.loads(line) for line in self.text.splitlines()]
        return [o for o in found if all(o.get(key) == value for key, value in wanted.items())]


@pytest.fixture
def log() -> Iterator[Callable[..., Log]]:
    """``log("json")`` puts the log of this test into memory; afterwards all is as before."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    names = logs.configuration("line", "INFO", ())["loggers"]
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, names))}
    logs._request_id.set("")  # Of an earlier test's request; a thread never forgets its last.
    yield Log
    # Not with dictConfig: pytest's own handlers would be lost.
    root.handlers[:] = handlers
    for logger, level in levels.items():
        logger.setLevel(level)


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("this page is broken")


urlpatterns = [path("broken/", broken)]
handler500 = "webapp.error_pages.server_error"


@pytest.mark.django_db
def test_a_request_is_one_json_object_with_its_id(client: Client, log: Callable[..., Log]) -> None:
    written = log("json")
    response = client.get("/models/?q=private", REMOTE_ADDR="192.0.2.7")
    (line,) = written.objects(logger="webapp.request_log")
    assert line["request_id"] == response["X-Request-ID"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/models/", 200)
    assert (line["level"], line["address"]) == ("INFO", "192.0.2.7")
    assert line["seconds"] >= 0
    assert line["time"].endswith("+00:00")
    assert "private" not in written.text


@pytest.mark.django_db
def test_every_request_has_an_id_of_its_own_whatever_the_client_sends(client: Client) -> None:
    ids = {client.get("/healthz", headers={"X-Request-ID": "mine"})["X-Request-ID"] for _ in "ab"}
    assert len(ids) == 2
    assert "mine" not in ids


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/static/css/base.css"])
@pytest.mark.django_db
def test_monitoring_and_static_files_are_not_worth_a_line(
    client: Client, log: Callable[..., Log], path: str
) -> None:
    written = log("json")
    client.get(path)
    assert not written.objects(logger="webapp.request_log")
    written = log("json", level="DEBUG")
    client.get(path)
    assert len(written.objects(logger="webapp.request_log", path=path)) == 1


@pytest.mark.django_db(transaction=True)
def test_an_upload_ties_the_request_to_the_analysis(
    client: Client, log: Callable[..., Log], alice: Any
) -> None:
    client.force_login(alice)
    written = log("json")
    response = client.post("/", {"video": a_video(), "sampling": "quick"})
    assert response.status_code == 302
    analysis = Analysis.objects.get()
    (line,) = written.objects(analysis_id=str(analysis.pk))
    assert line["request_id"] == response["X-Request-ID"]
    assert line["message"].startswith(f"analysis {analysis.pk}: queued")
    assert str(analysis.submission_id) in line["message"]


@pytest.mark.urls(__name__)
def test_a_fault_is_logged_with_the_number_that_the_page_shows(log: Callable[..., Log]) -> None:
    written = log("json")
    response = Client(raise_request_exception=False).get("/broken/?token=private")
    assert response.status_code == 500
    number = response["X-Request-ID"]
    assert f'<code class="request-id">{number}</code>' in response.content.decode()
    (fault,) = written.objects(logger="django.request")
    assert (fault["request_id"], fault["level"]) == (number, "ERROR")
    assert "RuntimeError: this page is broken" in fault["exception"]
    # The record has the whole request attached, headers and query; the line has not.
    assert set(fault) <= set(logs.FIELDS)
    assert "private" not in written.text


def test_the_site_answers_its_own_faults_with_that_page() -> None:
    assert get_resolver().resolve_error_handler(500) is server_error


def test_what_is_logged_about_an_analysis_names_it_also_from_its_threads(
    log: Callable[..., Log],
) -> None:
    written = log("json")
    analysis_id = uuid.uuid4()
    with logs.about_analysis(analysis_id):
        logging.getLogger("detector").warning("a strange frame")
    logging.getLogger("detector").warning("another one")
    about, other = written.objects(logger="detector")
    assert about["analysis_id"] == str(analysis_id)
    assert "analysis_id" not in other


def test_a_line_for_people_names_what_its_text_does_not(log: Callable[..., Log]) -> None:
    written = log("line")
    analysis_id = uuid.uuid4()
    with logs.about_analysis(analysis_id):
        logging.getLogger("detector").warning("a strange frame")
        logging.getLogger("worker").warning("analysis %s: started", analysis_id)
    first, second = written.text.splitlines()
    assert first.endswith(f"a strange frame analysis={analysis_id}")
    assert second.endswith(f"analysis {analysis_id}: started")


@pytest.mark.parametrize("form", logs.FORMATS)
def test_nothing_from_outside_begins_a_line_of_its_own(
    log: Callable[..., Log], rf: RequestFactory, form: str
) -> None:
    written = log(form)
    middleware = RequestLogMiddleware(lambda request: HttpResponse(status=404))
    middleware(rf.get("/a%0a2026-01-01 ERROR forged%1b[31m%e2%80%a8"))
    logging.getLogger("webapp").warning("a name: %s", "x\n2026-01-01 ERROR forged\x1b[31m\x85")
    assert len(written.text.splitlines()) == 2
    assert "/a%0A2026-01-01%20ERROR%20forged%1B%5B31m%E2%80%A8" in written.text
    assert "\x1b" not in written.text


def test_a_traceback_keeps_its_lines(log: Callable[..., Log]) -> None:
    written = log("line")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("webapp").exception("it failed")
    assert written.text.splitlines()[-1] == "RuntimeError: broken"


@pytest.mark.parametrize("form", logs.FORMATS)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the key is a-long-secret.", "the key is [hidden]."),
        ("postgres://me:p%40ss%2Fword%20%26%20more@db/x", "postgres://me:[hidden]@db/x"),
        ("password p@ss/word & more", "password [hidden]"),
        ("?password=p%40ss%2Fword%20%26%20more", "?password=[hidden]"),
        ('it has a word with "quotes" in it', "it has a word [hidden]"),
        ("redis://:anything@host:6379/0", "redis://:[hidden]@host:6379/0"),
        ("Authorization: Token fv_" + "aB3_-" * 9, "Authorization: Token fv_[hidden]"),
        ("a short one stays", "a short one stays"),
        ("http://127.0.0.1:8000/@x", "http://127.0.0.1:8000/@x"),
    ],
)
def test_a_secret_is_hidden_wherever_it_is_written(
    log: Callable[..., Log], form: str, text: str, shown: str
) -> None:
    written = log(form)
    logging.getLogger("webapp").warning("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("webapp").exception("it failed")
    assert text == shown or text not in written.text
    if form == "json":
        message, fault = written.objects()
        assert message["message"] == shown
        assert fault["exception"].endswith(f"ValueError: {shown}")
    else:
        assert written.text.count(shown) == 2


def test_the_configuration_has_one_handler_for_all(log: Callable[..., Log]) -> None:
    log("json")
    for name in ("django", "django.server", "gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        assert not logger.handlers, name
        assert logger.propagate, name


def test_threads_of_requests_do_not_share_an_id() -> None:
    seen: list[str] = []

    def answer() -> None:
        logs.begin_request()
        seen.append(logs.current_request_id())

    for _ in range(2):
        thread = Thread(target=answer)
        thread.start()
        thread.join()
    assert len(set(seen)) == 2
