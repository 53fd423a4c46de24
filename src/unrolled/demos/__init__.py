"""Whole jobs on data that comes as a package: one file a demo."""
