"""Workers with the fake engine for other processes; one whose recordings named "poison" kill it."""

import os
import signal
import time

from fake_engine import FakeEngine

from fastsvc.convert.spread.ray_crew import ClusterWorker


class FakeWorker(ClusterWorker):
    def opened(self):
        return FakeEngine()

    def convert(self, staged, progress=lambda recordings: None):
        for job in staged.task.jobs:
            name = os.path.basename(job.source)  # the folder has the test's name
            if "poison" in name:
                os.kill(os.getpid(), signal.SIGKILL)
            if "slow" in name:
                time.sleep(0.2)
        super().convert(staged, progress)
