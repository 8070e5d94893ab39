"""As much of Ray as RayCrew calls, in threads of this process: actors that can be killed in the middle of a call.

`make scale` runs the same crew on Ray itself.
"""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from types import SimpleNamespace


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    pass


class Actor:
    """``dies(method, arguments)``: whether this call takes the actor with it, as kill -9 would."""

    made, dies = [], staticmethod(lambda method, arguments: False)

    def __init__(self, cls, arguments, options):
        self.options, self.object, self.dead = options, cls(*arguments), False
        self.pool, self.futures = ThreadPoolExecutor(options["max_concurrency"]), []
        Actor.made.append(self)

    def call(self, method, arguments):
        future = Future()
        if self.dead:
            future.set_exception(RayActorError("The actor is dead. Worker exit detail: it was dead before. X"))
            return future
        self.futures.append(future)

        def run():
            if self.dead:
                return
            if Actor.dies(method, arguments):
                return self.die("connection error code 2. End of file.")
            try:
                value = getattr(self.object, method)(*arguments)
            except Exception as error:
                future.set_exception(RayTaskError(str(error)))
            else:
                if not self.dead:
                    future.set_result(value)

        self.pool.submit(run)
        return future

    def die(self, why):
        self.dead = True
        for future in self.futures:
            if not future.done():
                future.set_exception(RayActorError(f"The actor died.\n\tclass: X\nWorker exit detail: {why} More."))


class Handle:
    def __init__(self, actor):
        self.actor = actor

    def __getattr__(self, method):
        return SimpleNamespace(remote=lambda *arguments: self.actor.call(method, arguments))


def remote(**options):
    return lambda cls: SimpleNamespace(remote=lambda *arguments: Handle(Actor(cls, arguments, options)))


def wait(refs, num_returns=1, timeout=None):
    finished = wait_for(refs, timeout, FIRST_COMPLETED).done
    return list(finished)[:num_returns], []


def get(ref):
    return ref.result()


def kill(handle):
    handle.actor.die("killed by ray.kill.")


def get_runtime_context():
    return SimpleNamespace(get_node_id=lambda: "0123456789abcdef")


exceptions = SimpleNamespace(RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError)
util = SimpleNamespace(get_node_ip_address=lambda: "10.0.0.1")
