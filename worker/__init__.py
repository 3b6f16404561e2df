"""The workers: they take analyses from the queue, run the detector and publish results.

``python -m worker`` starts one; ``python manage.py sweep`` looks after the queue.
"""
