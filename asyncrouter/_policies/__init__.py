"""Admission and memory: whether a model may be asked now, and what the attempts so far have taught about it."""
