"""Recorded features and the moments that a detector makes of them.

`<name>.features.jsonl` is given; `<name>.moments.jsonl` is what stands. After a wanted change run
with CLIPTHAT_WRITE_GOLDEN=1 and read the difference before it is committed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from bus.events import Event, LoudnessMeasured, SpeechHeard, Word
from detectors.host import DetectorHost
from detectors.port import Detector
from tests.detectors.world import WHO, ended, started

GOLDEN = Path(__file__).parent / "golden"


def read_features(name: str) -> list[Event]:
    features: list[Event] = []
    for line in (GOLDEN / f"{name}.features.jsonl").read_text().splitlines():
        fields = json.loads(line)
        kind = fields.pop("type")
        if kind == "speech":
            fields["words"] = tuple(Word(**word) for word in fields["words"])
            features.append(SpeechHeard(**WHO, **fields))
        else:
            for listed in ("rms_db", "voice"):
                fields[listed] = tuple(fields.get(listed, ()))
            features.append(LoudnessMeasured(**WHO, **fields))
    return features


def check_golden(name: str, detector: Detector) -> None:
    features = read_features(name)
    host = DetectorHost(started(has_chat=False), [detector])
    told = [each for event in features for each in host.feed(event)]
    told += host.feed(ended(max(getattr(event, "end_s", 0.0) for event in features)))
    moments = [dataclasses.asdict(each) for each in told if type(each).__name__ == "MomentDetected"]
    path = GOLDEN / f"{name}.moments.jsonl"
    lines = [json.dumps(moment, sort_keys=True) for moment in moments]
    if os.environ.get("CLIPTHAT_WRITE_GOLDEN"):
        path.write_text("".join(line + "\n" for line in lines))
    assert lines
    assert [json.loads(line) for line in lines] == [
        json.loads(line) for line in path.read_text().splitlines()
    ]
