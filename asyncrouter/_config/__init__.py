"""The configuration: read from files and mappings, checked, and resolved into the plan of a call."""

from asyncrouter._config.config import Chain, Config, Step

__all__ = ["Chain", "Config", "Step"]
"""Pickles of asyncrouter 0.1.0 name these as members of this module."""
