"""Poses of single particles by a trained encoder, and the volume that explains the frames (PyTorch)."""
