"""A process that compiles kernels one after another: a line of JSON [spec, architecture] in, a line with the cubin out.

As fastsvc.build.cubins.worker, which needs all jobs before it begins; here a test asks for a kernel when it starts it.
"""

import json
import sys

from fastsvc.build.cubins.worker import compiled


def main() -> None:
    for line in sys.stdin:
        try:
            answer = compiled(*json.loads(line))
        except Exception as error:  # whatever the compiler raises is the test's to show
            answer = {"error": f"{type(error).__name__}: {error}"[-2000:]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
