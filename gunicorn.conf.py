"""What every start of gunicorn shares; it reads this file by itself from the top folder."""

from __future__ import annotations

from webapp.settings import LOGGING

logconfig_dict = LOGGING

# Of each process. A thread is taken for as long as a request comes in, so twenty people who
# upload over slow lines must leave some to those who only look.
threads = 16
