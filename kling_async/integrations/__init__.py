"""Kling inside web frameworks; each file is imported by its user alone, with its extra."""
