"""Hostile input, by hand and at random; `python -m tests.hostile.arguments` is the random part."""
