"""From raw ADU to photon frames."""
