"""Errors for every wire: a failed response becomes one of our error classes, with its Retry-After."""
