"""Play games in Python TextWorld, for comparison and timing.

stdin: a JSON line {"game": path, "commands": [...]} for each game.
stdout: one JSON line for the start and one for each command, then
{"load": s, "reset": s, "steps": s}, processor seconds of this process.
"""
import json
import sys
import time

import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from textworld import EnvInfos

wanted = EnvInfos(feedback=True, admissible_commands=True, won=True, score=True)


def show(state, done):
    print(json.dumps({
        "observation": state.feedback,
        "admissible": state["admissible_commands"],
        "won": bool(state["won"]),
        "done": bool(done),
        "score": state.get("score") or 0,  # reset sets none
    }))


for line in sys.stdin:
    job = json.loads(line)
    t0 = time.process_time()
    env = textworld.start(job["game"], wanted, [AlfredDemangler(shuffle=False), AlfredInfos])
    t1 = time.process_time()
    state = env.reset()
    t2 = time.process_time()
    show(state, False)
    spent = 0.0
    for command in job["commands"]:
        start = time.process_time()
        state, _, done = env.step(command)
        spent += time.process_time() - start
        show(state, done)
    print(json.dumps({"load": t1 - t0, "reset": t2 - t1, "steps": spent}))
    sys.stdout.flush()
    env.close()
