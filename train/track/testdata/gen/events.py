"""Writes testdata/events.golden, the bytes that TensorBoard's own writer makes
of the events in TestEventsEqualTensorBoards. Needs: pip install tensorboard

    python train/track/testdata/gen/events.py
"""
import os

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

TIME = 1700000000.25
events = [
    Event(wall_time=TIME, file_version="brain.Event:2"),
    Event(wall_time=TIME, step=41, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=TIME, step=41, summary=Summary(value=[
        Summary.Value(tag="kl", simple_value=-0.125),
        Summary.Value(tag="loss/policy", simple_value=0.1),
        Summary.Value(tag="lr", simple_value=float("nan")),
    ])),
    Event(wall_time=TIME, step=300, summary=Summary(value=[Summary.Value(tag="lr", simple_value=5e-6)])),
]
path = os.path.join(os.path.dirname(__file__), "..", "events.golden")
with open(path, "wb") as f:
    w = RecordWriter(f)
    for e in events:
        w.write(e.SerializeToString())
    w.flush()
print(f"{path}: {os.path.getsize(path)} bytes")
