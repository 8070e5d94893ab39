"""Worker processes: each holds one engine, or builds one voice; none of them listens to the network.

Two seams for other parts of the server:

**Builds.** ``service.queue.add_build(name, call, arguments) -> Job`` queues a job of kind ``build``. ``call`` is
"fastsvc.serve.MODULE:FUNCTION"; a process of its own runs ``FUNCTION(log, progress, **arguments)``: ``log(line)`` adds
a line to the job's log, ``progress(fraction)`` sets its progress, typed errors that it raises become the job's error.
``arguments`` are JSON and must have ``voice``, an id, and ``name``: the function makes the engine folder
``service.voices.folder(voice) / voices.FOLDER``. After it returned (a list of notes, or None) the server calls
``service.voices.install(voice, name)``; after a failure or a cancellation it removes that whole folder. The job
survives a restart of the server, and then runs again from its beginning.

**Streams.** ``async with service.pool.stream(engine_id) as link`` reserves a process that holds the engine with one
thread of computation, and starts one where none is free (seconds). Raises EngineError; ResourceError: too many streams.

- ``await link.start(arguments) -> dict``: the arguments of Engine.stream by name (speaker, rate_hz, block_ms, …);
  returns {"block_ms", "lookahead_ms", "resampling_ms", "rate_hz"}; raises the typed errors of Engine.stream.
- ``link.send(samples)``: bytes, little-endian float32, any whole number of samples. Never waits: input that the engine
  cannot follow is dropped in the worker, oldest first, and its place in the output is silence, so that the output's
  samples stay as many as the input's.
- ``link.change(values)``: of speaker, transpose, gain, from the next block on; ``link.flush()``: ask for the rest.
- ``async for item in link``: bytes are output samples; dicts are {"type": "stats", "compute_ms": {"p50", "p95"},
  "late", "dropped"} once a second, {"type": "flushed"} after the rest, {"type": "error", "what", "why", "remedy"} for a
  change that is refused. It ends, with an EngineError, where the worker dies.
"""
