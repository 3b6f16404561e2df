"""The queue under fire: real processes, a monkey that kills them, and the counts afterwards.

``python -m tests.chaos`` runs it by hand; ``test_chaos.py`` is the short form.
"""
