"""Public judges that nobody here trained, one a file; weights lie inside packages (docs/ears.md).

A recogniser or verifier of our own hears what our own training taught it to hear. These heard people instead: opinion
scores (DistillMOS), voices (Resemblyzer), English words (Moonshine), pitch (swift-f0). Each is loaded on its first
use and kept; where a package is missing, MissingPackageError says how to install it.
"""
