"""Errors for every wire: a failed response becomes an exception of ours, with its Retry-After in seconds."""
