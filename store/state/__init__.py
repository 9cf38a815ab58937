"""The control plane's database: tables, migrations, the recorder and what pages ask for."""

from store.state.recorder import Recorder
from store.state.state import State

__all__ = ["Recorder", "State"]
