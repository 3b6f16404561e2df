"""Hostile files: real containers, damaged in ways that a seed decides.

``python -m tests.fuzz`` runs it by hand; ``test_fuzz.py`` is the short form.
"""
