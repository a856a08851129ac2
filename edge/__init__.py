"""The Limpid daemon: everything that runs on the device. Floors and owners are listed in the README."""

__version__ = "0.1.0"
