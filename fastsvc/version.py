"""The version, in a module that every other may import."""

VERSION = "0.1.0"
