"""`fastsvc serve`: a page in the browser, an API beside it, and engines in worker processes of their own.

The server's process imports no PyTorch: it receives files, keeps the list of jobs and hands out results. Recordings of
strangers are decoded, and voices of strangers are read, in worker processes alone.
"""
