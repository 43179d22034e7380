"""Constants of nature that scattering needs (CODATA 2022)."""

KEV_ANGSTROM = 12.398419843320026
"""Photon energy times wavelength."""
ELECTRON_RADIUS_M = 2.8179403205e-15
"""Classical electron radius."""
