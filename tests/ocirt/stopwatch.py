"""Time `NAME=PROGRAM ...` in turn: ROUNDS BUNDLE STATE-ROOT NAME=PROGRAM...; prints JSON, milliseconds by name."""

import json
import subprocess
import sys
import time

rounds, bundle, state = int(sys.argv[1]), sys.argv[2], sys.argv[3]
programs = dict(word.split("=", 1) for word in sys.argv[4:])
times: dict[str, list[float]] = {name: [] for name in programs}
for _ in range(rounds):
    for name, program in programs.items():
        argv = [program, "--root", f"{state}-{name}", "run", "--bundle", bundle, f"race-{name}"]
        start = time.perf_counter()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        times[name].append((time.perf_counter() - start) * 1000)
        assert done.returncode == 0, (argv, done.stderr)
json.dump(times, sys.stdout)
