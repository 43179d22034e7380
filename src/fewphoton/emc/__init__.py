"""Expand-maximize-compress: an intensity volume from frames of unknown orientation."""
