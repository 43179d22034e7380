"""Experiments with known answers."""
