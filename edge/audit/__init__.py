"""Who did what to which object: append-only, durable, each line chained to the one before. No patient data.

`Audit` is one log; an appliance has four of them (`edge.places.audit_logs`), each with a chain of its own, so that
nobody who stores a capture waits for somebody who browses. `chain` finds what was touched, `seal` signs, `follow`
reads on from where a reader was. The format and what is promised are told in docs/audit.md.
"""

from edge.audit.chain import FIRST, Entry, Fault, Line
from edge.audit.follow import Follower, Mark
from edge.audit.log import Audit, Verdict
from edge.audit.seal import SEALED

__all__ = ["FIRST", "SEALED", "Audit", "Entry", "Fault", "Follower", "Line", "Mark", "Verdict"]
