"""The API subset of Dassl.pytorch 0.6.3 that CoOp-style projects use, implemented independently (see README.md)."""

__version__ = "0.6.3+upt"
