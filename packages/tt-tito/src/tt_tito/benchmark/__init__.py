"""TinyMLPerf: events, submissions that anyone can verify, and a leaderboard of what was verified.

A model competes in an event over a reference task. In the closed division it is the reference
itself, made faster or smaller by passes of a fixed list; in the open division it is any model of
the language in `_language`. Neither brings code. Every figure is a ratio to the reference that was
measured in the same run, and whoever receives a submission measures it again.
"""

from ._checks import Rejected as Rejected
from ._figures import EVENTS as EVENTS
from ._figures import Event as Event
from ._figures import Figure as Figure
from ._figures import measure as measure
from ._figures import score as score
from ._language import build as build
from ._language import check_model as check_model
from ._language import describe as describe
from ._leaderboard import Leaderboard as Leaderboard
from ._leaderboard import Row as Row
from ._page import render_leaderboard as render_leaderboard
from ._passes import PASSES as PASSES
from ._passes import Configuration as Configuration
from ._run import run as run
from ._runner import LocalRunner as LocalRunner
from ._runner import Runner as Runner
from ._submission import DIVISIONS as DIVISIONS
from ._submission import Division as Division
from ._submission import Submission as Submission
from ._submission import read_submission as read_submission
from ._submission import replace_figures as replace_figures
from ._submission import write_submission as write_submission
from ._tasks import TASKS as TASKS
from ._tasks import Data as Data
from ._tasks import Task as Task
from ._verify import Bench as Bench
from ._verify import Opened as Opened
from ._verify import Verdict as Verdict
from ._verify import verify as verify
