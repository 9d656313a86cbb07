"""Rows answered through the vendors' batch APIs, at their batch price, with the rest of the chain as the safety net."""
