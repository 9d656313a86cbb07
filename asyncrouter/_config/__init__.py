"""Configuration: files and mappings become frozen plans of what a call may do."""

from asyncrouter._config.config import Chain, Config, Step

__all__ = ["Chain", "Config", "Step"]
"""Pickles of asyncrouter 0.1.0 look for these here."""
