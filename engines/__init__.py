"""Engines: one folder each (manifest, INT8 model), and the programs that make them."""
