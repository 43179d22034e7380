"""Signal separation: background in rings, strong pixels, peaks, veto (Kieffer et al. 2025)."""
