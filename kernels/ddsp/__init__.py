"""Kernels of voices of DDSP-SVC 6."""
