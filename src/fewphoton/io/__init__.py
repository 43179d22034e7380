"""Files to nouns and back; the only place that opens HDF5, images and crystallographic formats."""
