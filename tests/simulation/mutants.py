"""Routers broken on purpose, each as some library once was: the simulation must notice every one of them.

What a mutant restates of the engine it restates on purpose: the defect is in what it leaves out.
"""

from . import mutants_memory, mutants_pace, mutants_race
from .mutation import MUTANTS

__all__ = ["MUTANTS", "mutants_memory", "mutants_pace", "mutants_race"]
