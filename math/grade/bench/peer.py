"""Grades pairs with DeepSeekMath's own script, for the benchmark in this folder.

The first argument is the evaluation folder of a DeepSeek-Math checkout. Each
line of standard input is a JSON list of pairs; each reply is a JSON list of
{"correct", "cpu"}, cpu in CPU seconds of this process, or {"hung": true} where
the limit ran out. The limit is in real time: a running CPU-time timer would
make the kernel's CPU clock as coarse as its tick.
"""
import json
import signal
import sys
import time
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])

from data_processing.answer_extraction import extract_last_single_answer, extract_math_answer  # noqa: E402
from eval.eval_script import eval_last_single_answer, eval_math  # noqa: E402

LIMIT = 20.0


class Hung(BaseException):
    """Not an Exception: the script swallows those."""


def on_limit(*_):
    raise Hung


def grade(pair):
    if pair["dataset"] == "gsm8k":
        extract, judge = extract_last_single_answer, eval_last_single_answer
    else:
        extract, judge = extract_math_answer, eval_math
    problem = pair.get("problem") or ""
    item = {
        "prediction": extract(problem, pair["generation"], "cot"),
        "answer": extract(problem, pair["reference"], "cot"),
    }
    return bool(judge(item))


def timed(pair):
    start = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        reply = {"correct": grade(pair)}
    except Hung:
        reply = {"hung": True}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    reply["cpu"] = time.process_time() - start
    return reply


signal.signal(signal.SIGALRM, on_limit)
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps([timed(pair) for pair in json.loads(line)]), flush=True)
