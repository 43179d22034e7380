"""Poses of single particles: amortised by networks, matched, searched, merged. Only here and in its stages: torch."""
