"""Figures: each reads result files only."""
