"""Time an empty Python and `NAME=PROGRAM ...` in turn: ROUNDS BUNDLE STATE-ROOT PYTHON (as JSON) NAME=PROGRAM...; prints JSON,
milliseconds by name."""

import json
import subprocess
import sys
import time

rounds, bundle, state, python = int(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
commands = {"python": python}
for name, program in (word.split("=", 1) for word in sys.argv[5:]):
    commands[name] = [program, "--root", f"{state}-{name}", "run", "--bundle", bundle, f"race-{name}"]
times: dict[str, list[float]] = {name: [] for name in commands}
for _ in range(rounds):
    for name, argv in commands.items():
        start = time.perf_counter()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        times[name].append((time.perf_counter() - start) * 1000)
        assert done.returncode == 0, (argv, done.stderr)
json.dump(times, sys.stdout)
