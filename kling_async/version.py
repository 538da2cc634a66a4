"""Which version is this? The one place that says so; the build reads it from here."""

__version__ = "0.2.0"
