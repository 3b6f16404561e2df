"""What every start of gunicorn shares; it reads this file by itself from the top folder."""

from __future__ import annotations

from webapp.settings import LOGGING

logconfig_dict = LOGGING
