"""Pickles of our records: written with a version and field names; those of asyncrouter 0.1.0 are read."""
