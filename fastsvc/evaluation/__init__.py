"""Measuring conversions: metrics, tables with intervals, plots, and the pictures of the demo."""
