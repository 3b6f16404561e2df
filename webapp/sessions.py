"""Sessions as Django keeps them, with more care for the cookie in the browser.

A long upload shows the cookie of the moment when it began. By its end the browser
may hold another one, for somebody has logged in in another tab.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers


def has_ended(request: HttpRequest) -> bool:
    """Whether the request shows the cookie of a session that is no more."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    # The store looks for the session, and drops the key of none, when asked for something.
    return not request.session.keys() and request.session.session_key is None


class SessionMiddleware(DjangoSessionMiddleware):
    """Leaves the cookie alone unless this request itself ended the session.

    Django deletes it where it finds no session, and with it the one of a log-in that
    happened meanwhile.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = request.session
        if session.modified or not session.is_empty():
            return super().process_response(request, response)
        if session.accessed:
            patch_vary_headers(response, ("Cookie",))
        return response
