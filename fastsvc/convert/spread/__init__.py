"""Recordings spread over workers: devices of one machine, a Ray cluster, or this process with files by URL.

A driver settles what is done already, sends tasks to a crew of workers, longest first, and sends them again where a
worker was lost. A worker is :mod:`fastsvc.convert.batch` with one engine, for a few recordings at a time.
"""
