"""Every jitted function of the project: arrays in, arrays out."""
