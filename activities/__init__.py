"""The effects, one class per concern, with what they need injected through small ports.

`commits` and `reconciler` are activities of workflows; `dispatcher` and `notifier` are loops that each worker runs beside
them.
"""
