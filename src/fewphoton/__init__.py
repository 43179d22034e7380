"""fewphoton: structure from X-ray diffraction frames that hold only a few photons each."""

__version__ = "0.1.0"
