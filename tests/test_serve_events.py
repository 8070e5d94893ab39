"""News of jobs that is told while a job goes on."""

import asyncio
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")

from fastsvc.serve.api import events
from fastsvc.serve.jobs.events import Events
from fastsvc.serve.jobs.job import DONE, RUNNING, Job


def test_a_job_that_ends_while_news_of_it_is_sent_is_told_to_the_end():
    job, watchers = Job("a", "batch", "convert", "a.wav", state=RUNNING), Events()
    book = SimpleNamespace(get=lambda id: job, public=lambda job: {"state": job.state})
    queue = SimpleNamespace(events=watchers, book=book)
    state = SimpleNamespace(ending=False, settings=SimpleNamespace(heartbeat_s=5.0), queue=queue)

    async def told():
        seen = []
        async for text in events._events(state, ["a"]):
            seen.append(text)
            if len(seen) == 1:  # the client has this one, and the next is not asked for yet
                job.state = DONE
                watchers.touch(["a"])
        return seen

    *news, end = asyncio.run(told())
    assert end.startswith("event: end\n")
    assert [json.loads(text.partition("data: ")[2])["state"] for text in news] == [RUNNING, DONE]
