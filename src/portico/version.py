"""The version, in the one place that the build, the package and js/version.mjs read."""

__version__ = "0.1.0.dev0"
